"""Floors, the placebo and supervised training."""
