"""What is observed: runs, the readers of their file formats, and the check of what was read."""
