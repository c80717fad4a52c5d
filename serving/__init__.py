"""A predictor file goes in; a process that answers for one model version comes out."""
