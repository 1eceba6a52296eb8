"""Measurements: each with the command that made it. Nothing here asserts a time."""
