"""Typed configuration. This package's ``schema`` is cheap to import; ``compose`` brings OmegaConf."""
