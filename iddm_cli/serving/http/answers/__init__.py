"""What the server sends of a finished job: files, settings, and the command for the same."""
