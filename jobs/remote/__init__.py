"""Jobs on a Ray cluster that somebody else runs: what is submitted, and what travels."""
