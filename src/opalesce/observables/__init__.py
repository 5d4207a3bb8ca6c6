"""What is measured: pure functions of arrays, one family per file."""

FAMILIES: tuple[str, ...] = (
    "norms",
    "spectra",
    "bulk",
    "tail_spectra",
    "randomised",
    "entries",
    "circuits",
    "attention",
    "percolation",
    "flow",
    "pores",
    "multifractal",
    "order",
    "dimension",
    "isotropy",
    "magnitudes",
    "cloud",
    "series",
)
# names that stand for several families on the command line
GROUPS: dict[str, tuple[str, ...]] = {
    "spectra": ("spectra", "bulk", "tail_spectra", "randomised"),
    "depth": ("order", "dimension", "isotropy", "magnitudes", "cloud"),
    "geometry": ("dimension", "isotropy", "cloud"),
}
