"""Self-contained HTML pages: their common style, their images and their plots."""
