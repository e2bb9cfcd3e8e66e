"""Stores: folders and S3 prefixes with one interface."""
