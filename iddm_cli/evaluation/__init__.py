"""Evaluation: how close generated images are to real ones, and what they are good for."""
