"""Feature networks: vectors that describe images, trained on the user's own images."""
