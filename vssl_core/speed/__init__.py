"""How fast each stage of a pretraining run is on this machine, and which one holds the others up."""
