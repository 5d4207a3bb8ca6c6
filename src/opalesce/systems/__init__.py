"""Known answers: systems whose transition is known, and their twins."""
