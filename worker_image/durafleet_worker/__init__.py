"""What runs in a worker pod: declared agents on a durable workflow."""
