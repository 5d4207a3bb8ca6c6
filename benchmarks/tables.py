"""docs/validation.md from the cells that `make validate` left."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any


def _read(out: Path, start: str) -> list[dict[str, Any]]:
    return [json.loads(p.read_text()) for p in sorted(out.glob(f"{start}-*.json"))]


def markdown(head: list[str], rows: list[list[Any]]) -> str:
    def show(v: Any) -> str:
        return "" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v)

    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(show(v) for v in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _confusion(rows: list[dict[str, Any]]) -> str:
    names = ["TRANSITION", "CROSSOVER", "METRIC ARTEFACT", "DATA FAULT", "NOT SUPPORTED", "CANNOT TELL"]
    total: dict[str, Counter[str]] = {n: Counter() for n in names}
    for r in rows:
        total[r["kind"]].update(r["verdicts"])
    body = []
    for n in names:
        count = sum(total[n].values())
        body.append([n, count, *[total[n][k] for k in names], total[n][n] / count if count else None])
    return markdown(["planted", "runs", *names, "recall"], body)


def write_tables(out: Path, target: Path) -> None:
    """Write the page; parts that have not been run are left out."""
    parts = [
        "# Validation of the court\n",
        "Made by `make validate`; do not edit. Rates are over independent series; a rate p over N series "
        "has standard error sqrt(p(1-p)/N), 0.005 for p = 0.05 and N = 2,000.\n",
    ]
    if rows := _read(out, "calibration"):
        parts.append("## False alarms at alpha = 0.05 (M2 over M1)\n")
        rows.sort(key=lambda r: (r["n"], r["kind"]))
        keys = ["n", "kind", "series", "rejection", "standard_error", "smooth_rejection"]
        parts.append(markdown([*keys[:-1], "M1 over M0"], [[r[k] for k in keys] for r in rows]))
    if rows := _read(out, "worst-smooth"):
        parts.append("Members of the smooth class, scanned for the worst; the same noise under each.\n")
        keys = ["n", "members", "series", "worst", "best"]
        parts.append(markdown(keys, [[r[k] for k in keys] for r in sorted(rows, key=lambda r: r["n"])]))
    if rows := _read(out, "power"):
        parts.append("## Power for a sharp step, by height in marginal standard deviations\n")
        heights = sorted({r["height"] for r in rows})
        find = {(r["n"], r["phi"], r["height"]): r["power"] for r in rows}
        body = [
            [n, "white" if phi == 0 else f"AR(1) {phi}", *[find.get((n, phi, h)) for h in heights]]
            for n, phi in sorted({(r["n"], r["phi"]) for r in rows})
        ]
        parts.append(markdown(["n", "noise", *map(str, heights)], body))
    if rows := _read(out, "coverage"):
        parts.append(
            "## Coverage of the 90 % place interval (n = 61)\n\n`raw` is the inverted test; `printed` is "
            "widened to the least interval of one spacing; `detected` is conditional on rejection.\n"
        )
        keys = [
            "phi",
            "height",
            "width",
            "series",
            "power",
            "raw",
            "raw_detected",
            "printed",
            "median_length",
        ]
        rows.sort(key=lambda r: (r["phi"], r["height"], r["width"]))
        parts.append(markdown(keys, [[r[k] for k in keys] for r in rows]))
    if rows := _read(out, "confusion"):
        parts.append("## Planted verdicts\n")
        parts.append(_confusion(rows))
    if rows := _read(out, "induction"):
        from benchmarks.induction import summary

        parts.append("## The induction system\n")
        parts.append(summary(out))
    target.write_text("\n".join(parts))
