"""HTTP bodies go in, frames for the worker come out; and the way back."""
