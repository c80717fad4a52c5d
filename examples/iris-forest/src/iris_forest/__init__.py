"""Flower measurements in, the species of iris out: the steps of a training pipeline."""
