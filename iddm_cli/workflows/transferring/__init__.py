"""Training from a trained model: its profile, its classes, and what is carried over."""
