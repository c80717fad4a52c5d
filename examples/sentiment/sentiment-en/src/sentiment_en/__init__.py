"""An English text in, whether it is negative, neutral or positive out; a training pipeline."""
