"""Networks from clips to features."""
