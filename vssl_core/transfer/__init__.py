"""Measuring an encoder: feature extraction, metrics and the context of protocols."""
