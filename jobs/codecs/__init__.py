"""Codecs: bytes of an image file to pages and back, with their metadata."""
