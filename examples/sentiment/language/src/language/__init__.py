"""A text in, its language and how sure that is out; a training pipeline."""
