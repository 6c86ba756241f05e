"""Checking a profile: rules between settings, and messages that explain what is wrong."""
