"""Importing: trained models from files of other programs, and from our own exports."""
