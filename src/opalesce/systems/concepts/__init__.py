"""Percolation of concepts: pairs seen are edges, and what can be inferred is what they connect."""
