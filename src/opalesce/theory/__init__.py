"""What physics predicts: percolation, the neural percolation model, Brill's data model, and predictions."""
