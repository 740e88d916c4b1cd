"""The core of vssl: contracts, discovery, configuration, video input, training and transfer."""

__version__ = "0.1.0"
__all__ = ["__version__"]
