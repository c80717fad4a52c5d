"""Evidence about versions: their own example, their signature, and who asks a predictor."""
