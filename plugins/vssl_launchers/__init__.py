"""Launchers: ways of running jobs. First party: ``local``."""
