"""Codecs: image files to pages and back, with their metadata."""
