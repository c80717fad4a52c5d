"""Measure two versions by one metric each: rates, durations, answers, and what a team asks."""
