"""What is measured: pure functions of arrays, one family per file."""

FAMILIES: tuple[str, ...] = (
    "norms",
    "spectra",
    "entries",
    "circuits",
    "attention",
    "percolation",
    "flow",
    "pores",
    "multifractal",
    "dimension",
    "isotropy",
    "series",
)
