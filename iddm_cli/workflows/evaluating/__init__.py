"""Evaluate generated images: the real ones to compare with, generating, measuring, reporting."""
