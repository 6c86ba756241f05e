"""Distilling a trained run to one of few network calls."""
