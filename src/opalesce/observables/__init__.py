"""What is measured: pure functions of arrays, one family per file."""

FAMILIES: tuple[str, ...] = ()
