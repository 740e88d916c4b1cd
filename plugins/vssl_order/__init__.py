"""Pretext tasks about the order of clips and frames."""
