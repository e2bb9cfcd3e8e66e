"""Reviews: the page that reviewers look at, and what becomes of their decisions."""
