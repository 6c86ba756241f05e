"""Export: a trained model in files that other programs read, one module for each format."""
