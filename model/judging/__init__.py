"""Judging a page without a truth: its paper, its noise, its kind."""
