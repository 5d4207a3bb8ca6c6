"""Multifractal analysis: neurons (NeuroMFA), weighted graphs, series, and what is exactly known."""
