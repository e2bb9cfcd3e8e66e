"""`python -m jobs` is `pumice`, for checkouts that are not installed."""

from jobs.cli import main

main()
