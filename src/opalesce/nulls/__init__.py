"""What chance looks like."""
