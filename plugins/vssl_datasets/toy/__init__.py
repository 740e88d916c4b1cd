"""Synthetic video sets that are rendered on first use: toy-motion and toy-physics."""
