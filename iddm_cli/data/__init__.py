"""Data: from a folder of images to the batch of a training step."""
