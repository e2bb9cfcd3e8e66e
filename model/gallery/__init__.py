"""The article's systems, each a thing that runs: `pumice gallery`."""
