"""Whole platforms, in homes and namespaces of their own."""
