"""Objectives: what the updates of a denoiser minimize."""
