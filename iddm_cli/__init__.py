"""iddm: train diffusion models on a folder of images, and generate new images."""

__version__ = "0.1.0"
