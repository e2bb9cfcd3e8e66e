"""Upkeep of a destination: its status, its verification, and what may be removed."""
