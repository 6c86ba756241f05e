"""The engine: trains a denoiser, and generates images with it."""
