"""Colours of the report, once: the page's style and the Plotly figures both read them here.

Every pair that must be told apart differs in lightness as well as hue, and no verdict is carried by
colour alone: its name stands beside it. Names begin with `--` because the page uses them as CSS variables.
"""

from __future__ import annotations

LIGHT: dict[str, str] = {
    "--page": "#fbfaf6",
    "--card": "#ffffff",
    "--edge": "#e3e0d5",
    "--ink": "#1c1e26",
    "--soft": "#5b5f6b",
    "--rule": "#c9c9cc",
    "--focus": "#1f4e9c",
    "--transition": "#0a6a66",
    "--crossover": "#8a6110",
    "--artefact": "#6a4699",
    "--fault": "#a8322a",
    "--unsupported": "#62656f",
    "--unknown": "#4a5a73",
    "--on-chip": "#ffffff",
    "--band": "rgba(10,106,102,0.13)",
    "--twin": "rgba(92,97,110,0.22)",
    "--twin-line": "rgba(92,97,110,0.45)",
    "--loss": "#1c1e26",
    "--activations": "#a5295f",
    "--weights": "#1f4e9c",
    "--evals": "#b0520a",
    "--other": "#4c5563",
    "--low": "#1f4e9c",
    "--mid": "#f1efe8",
    "--high": "#a5640a",
}

DARK: dict[str, str] = {
    "--page": "#15171c",
    "--card": "#1d2027",
    "--edge": "#343842",
    "--ink": "#eceae4",
    "--soft": "#a5a9b4",
    "--rule": "#50545f",
    "--focus": "#8ab4ff",
    "--transition": "#4fc4b8",
    "--crossover": "#e0ac4c",
    "--artefact": "#b99be6",
    "--fault": "#f08a80",
    "--unsupported": "#a5a9b4",
    "--unknown": "#9fb4d3",
    "--on-chip": "#15171c",
    "--band": "rgba(79,196,184,0.20)",
    "--twin": "rgba(190,196,210,0.20)",
    "--twin-line": "rgba(190,196,210,0.45)",
    "--loss": "#eceae4",
    "--activations": "#f084b4",
    "--weights": "#7fb0ff",
    "--evals": "#f0a060",
    "--other": "#b4bccb",
    "--low": "#7fb0ff",
    "--mid": "#262a32",
    "--high": "#f0a94e",
}

VERDICTS: dict[str, str] = {
    "TRANSITION": "transition",
    "CROSSOVER": "crossover",
    "METRIC ARTEFACT": "artefact",
    "DATA FAULT": "fault",
    "NOT SUPPORTED": "unsupported",
    "CANNOT TELL": "unknown",
}

LINEAGES = ("loss", "activations", "weights", "evals", "other")


def lineage_colour(lineage: str | None) -> str:
    """Token of the colour of a witness's curve, by its lineage."""
    return f"--{lineage}" if lineage in LINEAGES else "--other"


def css(colours: dict[str, str]) -> str:
    """The colours as CSS declarations."""
    return " ".join(f"{name}: {value};" for name, value in colours.items())
