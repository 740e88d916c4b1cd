"""Pretext tasks that contrast clips."""
