"""A pretext task about relative speed, as a plugin of vssl."""
