"""Ways of measuring an encoder."""
