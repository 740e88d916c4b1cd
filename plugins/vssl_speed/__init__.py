"""Pretext tasks about the speed and the direction of time."""
