"""Pictures of what a pretext task shows the network."""
