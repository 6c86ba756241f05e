"""What resuming changes: the learning rate of an extension, and the report of changed settings."""
