"""Neighbours: the training images nearest to an image, in pixels and in features."""
