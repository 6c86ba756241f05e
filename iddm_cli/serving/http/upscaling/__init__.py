"""Requests to upscale an image: its file becomes pixels, and then a job."""
