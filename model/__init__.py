"""Pumice's model: pixels in, cleaner pixels out, and how that is learned."""
