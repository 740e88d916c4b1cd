"""Pretext tasks that predict what was masked."""
