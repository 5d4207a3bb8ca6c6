"""Brill's percolation model of data: laws, exact generator, simulation, criticism (brill2024neural)."""
