"""Features of a web page in, how likely it is a phishing page out: the steps of a training pipeline."""
