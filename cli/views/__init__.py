"""Render output: tables, lines, JSON."""
