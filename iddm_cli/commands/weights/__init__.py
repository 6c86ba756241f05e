"""Commands that make weights from trained ones."""
