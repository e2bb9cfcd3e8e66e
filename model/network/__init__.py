"""The networks: their layers, their fast inference, and their weights."""
