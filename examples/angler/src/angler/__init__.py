"""Features of a web page in, the probability that it is phishing out; a training pipeline."""

import os

# Read by TensorFlow when it is imported: no chatter, and sums in the same order everywhere.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
