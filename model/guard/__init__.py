"""The guard: a network that finds where cleaning lost or added ink."""
