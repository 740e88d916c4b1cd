"""Tasks that ask where things are in a frame or a clip, or what is missing from it."""
