"""Monitoring: what a training measures about itself, and what that says about its course."""
