"""The size of tiles, in a module of its own: commands read it without numpy."""

TILE = 4096
"""Pages with a side above this many pixels (plus the overlap) are cleaned in tiles. Part of the recipe."""
