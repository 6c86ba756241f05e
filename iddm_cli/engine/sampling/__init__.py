"""Where sampling starts: the noise of an image, and images that are known in part."""
