"""The report: one row a page, and the table that all rows are in."""
