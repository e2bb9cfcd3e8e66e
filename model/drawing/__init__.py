"""Drawing: pages, papers, pictures and damage made by code."""
