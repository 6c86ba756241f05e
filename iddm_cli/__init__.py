"""iddm: train diffusion models on a folder of images and turn them into pictures."""

__version__ = "0.1.0"
