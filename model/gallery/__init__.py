"""The article's systems as programs that run: `pumice gallery`."""
