"""Decide who may do what. Pure."""
