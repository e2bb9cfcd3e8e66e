"""The command line: commands parse, call `jobs.api` and print."""
