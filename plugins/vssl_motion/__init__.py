"""Pretext tasks that ask what moves in a clip, and where to."""
