"""Judging a page without a truth: its paper, its noise, whether it is text."""
