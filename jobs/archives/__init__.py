"""Archives: tars and zips, read and written member by member."""
