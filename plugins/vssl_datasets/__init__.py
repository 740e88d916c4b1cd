"""Data sets: your own videos from a folder or a table, and two synthetic sets that are made on first use."""
