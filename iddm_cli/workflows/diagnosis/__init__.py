"""Diagnosis: what this machine can do, what is missing, and what to install."""
