"""The program of a worker pod: declared agents on a durable workflow."""
