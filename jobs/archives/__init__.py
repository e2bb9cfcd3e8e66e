"""Archives: the members of tars and zips, read in order and written in order."""
