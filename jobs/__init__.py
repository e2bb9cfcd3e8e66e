"""Pumice's jobs: places full of scanned pages in, places full of cleaned ones and a report out."""
