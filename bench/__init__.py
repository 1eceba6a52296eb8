"""Benchmarks. Results are stored with the command that produced them; nothing here asserts a time."""
