"""Gather evidence about versions: the answer to their own example, held against the signature."""
