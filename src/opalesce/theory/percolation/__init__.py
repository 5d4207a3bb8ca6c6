"""Percolation: lattices and graphs, thresholds with intervals, finite-size scaling, exact results."""
