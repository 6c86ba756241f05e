"""What a machine can do, and what a training takes on it, as tables."""
