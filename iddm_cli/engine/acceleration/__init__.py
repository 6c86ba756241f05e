"""What makes training and sampling faster or smaller on one device, around the blocks alone."""
