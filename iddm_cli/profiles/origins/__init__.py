"""Sections that name a trained model from which a run starts."""
