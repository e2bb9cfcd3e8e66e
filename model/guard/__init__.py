"""The guard: a network that says where ink was lost or added."""
