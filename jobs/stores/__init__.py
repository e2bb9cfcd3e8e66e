"""Stores: folders and S3 prefixes behind one interface."""
