"""Cleaning: pages in, cleaned pages out."""
