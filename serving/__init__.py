"""Serve one model version, as a predictor file describes it."""
