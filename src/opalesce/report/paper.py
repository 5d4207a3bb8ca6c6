"""`opalesce figures`: the pictures of a report for print, by matplotlib (`[paper]`)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from opalesce.errors import FormatError, InputError, MissingExtra
from opalesce.report.clean import clean
from opalesce.report.paper_plots import exhibit, findings, heatmap, place_of, witnesses

Style = Literal["paper", "talk"]
WIDTH = {"paper": 6.9, "talk": 12.0}  # inches: two columns of a journal, a slide
POINTS = {"paper": 8.0, "talk": 16.0}
FORMATS = ("pdf", "svg", "png")


def figures(
    document: Mapping[str, Any],
    out: str | Path,
    style: Style = "paper",
    formats: Sequence[str] = ("pdf", "png"),
) -> list[Path]:
    """Write the figures of a report: witnesses, findings, heat map, exhibits.

    Parameters
    ----------
    document : dict
        What `report.json` holds (schema opalesce.report/1).
    out : path
        Folder; created when missing.
    style : {"paper", "talk"}
        6.9 inches wide with 8 pt type, or 12 inches with 16 pt. Colours are told apart in lightness.
    formats : sequence of str
        Of pdf, svg and png (300 dpi). Files hold no date, so that equal reports give equal files.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        Unknown style or format; matplotlib is not installed.
    FormatError
        A part of the report is missing or is not what it should be.
    """
    if style not in WIDTH or not formats or set(formats) - set(FORMATS):
        raise InputError(
            "no such figures", expected=f"style {' or '.join(WIDTH)}, formats of {', '.join(FORMATS)}",
            got=f"{style}, {', '.join(formats)}",
        )  # fmt: skip
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    whole = clean(document)
    written: list[Path] = []
    try:
        with _styled(style) as plt, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a glyph that the font lacks, a crowded layout
            for name, figure in _all(plt, whole, WIDTH[style]):
                for kind in formats:
                    path = folder / f"{name}.{kind}"
                    date = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
                    figure.savefig(path, metadata=date, dpi=300)
                    written.append(path)
                plt.close(figure)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise FormatError(
            "the report lacks a part", expected="a document that opalesce report wrote", got=str(error)[:80]
        ) from error
    return written


@contextmanager
def _styled(style: Style) -> Iterator[Any]:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("matplotlib", "paper") from error
    size = POINTS[style]
    settings = {
        "backend": "agg", "font.size": size, "axes.titlesize": size, "legend.fontsize": 0.85 * size,
        "xtick.labelsize": 0.85 * size, "ytick.labelsize": 0.85 * size, "axes.spines.top": False,
        "axes.spines.right": False, "axes.linewidth": 0.08 * size, "lines.linewidth": 0.15 * size,
        "legend.frameon": False, "pdf.fonttype": 42, "svg.hashsalt": "opalesce", "text.usetex": False,
        "text.parse_math": False,  # names come from files: a dollar is a dollar
        "figure.constrained_layout.use": True,
    }  # fmt: skip
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(settings):
        yield plt


def _all(plt: Any, document: Mapping[str, Any], width: float) -> Iterator[tuple[str, Any]]:
    judged = [w for w in document["witnesses"] if w["primary"]]
    if judged:
        yield "witnesses", witnesses(plt, document, judged, width)
    if any(place_of(t) is not None for t in document["transitions"]):
        yield "findings", findings(plt, document, width)
    if document["heatmap"] is not None:
        yield "heatmap", heatmap(plt, document, width)
    for i, e in enumerate(document["exhibits"]):
        if any(p.get("series") or p.get("image") is not None for p in e["plates"]):
            name = re.sub(r"[^A-Za-z0-9]+", "-", str(e["id"]))[:40].strip("-")
            yield f"exhibit-{i + 1}-{name or 'figure'}", exhibit(plt, e, width)
