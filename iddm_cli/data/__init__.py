"""Data: from a folder of pictures to the batch of a step."""
