"""Trackers: metrics as JSON lines and Weights & Biases."""
