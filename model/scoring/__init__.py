"""Scoring: cleaned pages against truths and transcriptions."""
