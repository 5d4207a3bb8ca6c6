"""Pages of `fit`, `forecast`, `allocate` and `mirage`: what is printed, with figures, readable offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opalesce.cite import bibtex

if TYPE_CHECKING:
    from opalesce.estimate import Estimate
    from opalesce.laws.allocate import Allocation
    from opalesce.laws.fit import Fit
    from opalesce.laws.forecast import Forecast
    from opalesce.report.exhibits import Exhibit
    from opalesce.transitions.mirage import TaskVerdict

WORDS = ("real", "metric artefact", "cannot tell")
FORECAST_CITES = ("alabdulmohsin2022revisiting", "caballero2023broken", "kennedy2001bayesian")
MIRAGE_CITES = ("schaeffer2023mirage",)


def write_page(
    out: Path, verb: str, title: str, lines: Sequence[str], exhibits: Sequence[Exhibit],
    document: dict[str, Any], cites: Sequence[str],
) -> Path:  # fmt: skip
    """`<verb>.html` with its figures, `<verb>-figures.json` and the document as `<verb>.json`."""
    from opalesce.report.clean import to_json
    from opalesce.report.html import write_exhibits

    out.mkdir(parents=True, exist_ok=True)
    cited = [f"cite: {' '.join(bibtex([key]).split())}" for key in cites]
    page = write_exhibits(exhibits, out, title, [*lines, *cited], f"{verb}-figures")
    page = page.rename(out / f"{verb}.html")
    (out / f"{verb}.json").write_text(to_json(document, indent=1) + "\n", "utf-8")
    return page


def fit_lines(f: Fit, level: float, *, short: bool = False) -> list[str]:
    """Formula, parameters with intervals, how they were found, and the table of sensitivity.

    `short` is for a page, which draws the sensitivity and has its table below the figure.
    """
    d = f.diagnostics
    told = [f"{k:8} {interval(e)}{'  ' + e.status if e.status else ''}" for k, e in f.intervals.items()]
    out = [f"{f.law.formula}   ({f.law.source})"]
    out += [" · ".join(told)] if short else [f"  {line}" for line in told]
    how = f"{d['intervals']}; offsets, exponents and breaks of one curve: profile"
    out.append(f"{level:.0%} intervals: {how}")
    runs = f", {d['runs']} runs" if d["runs"] else ""
    out.append(f"{d['n']} points{runs}; rmse of ln y {d['rmse']:.3g}; gradient left {d['gradient']:.1g}")
    out.append(f"{len(f.optima)} distinct optima within 10 % of the best objective")
    if d["breaks"]:
        errors = ", ".join(f"{k}: {e:.3g}" for k, e in d["breaks"]["held_out_rmse"].items())
        out.append(f"breaks: {d['breaks']['chosen']}, by {d['breaks']['why']} ({errors})")
    for row in [] if short else f.sensitivity:
        values = "  ".join(f"{k} {p:.4g}" for k, p in row["params"].items())
        out.append(f"  {row['change']:26} n = {row['n']:<5} {values}")
    return out


def forecast_document(f: Forecast) -> dict[str, Any]:
    """The forecast as data; no bare number beyond one decade."""
    rows = [
        {"x": a, "median": m if far <= 1 else None, "lower": lo, "upper": hi, "decades": far}
        for a, m, lo, hi, far in zip(
            *(v.tolist() for v in (f.x, f.median, f.lower, f.upper, f.decades)), strict=True
        )
    ]
    return {
        "schema": "opalesce.forecast/1",
        "level": f.level,
        "rows": rows,
        "tested": f.tested,
        "coverage": {str(k): v for k, v in f.coverage.items()},
        "weights": dict(f.weights),
        "warnings": list(f.warnings),
    }


def allocate_lines(found: Sequence[Allocation], runs: int, dropped: int) -> list[str]:
    """The law, the exponent, and the optimum of each budget."""
    out = [f"{found[0].fit.law.formula}, {runs} runs, {dropped} of the highest loss left out"]
    out.append(f"N* ~ C^a with a = {interval(found[0].exponent)}")
    for a in found:
        far = f"  {a.decades:+.2f} decades beyond the largest budget" if a.decades > 0 else ""
        out.append(
            f"C = {a.compute:.4g}: N {shown(a.N, a.decades)}  D {shown(a.D, a.decades)}  "
            f"D/N {shown(a.tokens_per_parameter, a.decades)}  loss {shown(a.loss, a.decades)}{far}"
        )
    return out


def allocate_warnings(found: Sequence[Allocation]) -> list[str]:
    """What the numbers of the budgets do not say by themselves."""
    out = [f"warning: {n}" for n in found[0].fit.diagnostics["notes"]]
    if any(a.decades > 1 for a in found):
        out.append("warning: no bare number beyond one decade, only intervals; a sharp break is not foreseen")
    if found[0].N.status:
        out.append(f"warning: {found[0].N.status}")
    return out


def mirage_document(rows: Sequence[TaskVerdict]) -> dict[str, Any]:
    """Every verdict as data, without the curves."""
    plain = [{k: v for k, v in vars(r).items() if k not in ("score", "soft")} for r in rows]
    for row in plain:
        row["metrics"] = {k: asdict(m) for k, m in row["metrics"].items()}
        row["length"] = row["length"] and asdict(row["length"])
    return {"schema": "opalesce.mirage/1", "rows": plain}


def mirage_counts(rows: Sequence[TaskVerdict]) -> list[str]:
    """How many tasks have each verdict."""
    return [f"{sum(r.verdict == word for r in rows):5} {word}" for word in WORDS]


def interval(e: Estimate) -> str:
    """Value and interval, an open end as such."""
    return f"{e.value:.5g} [{e.low:.5g}, {e.high:.5g}]"


def shown(e: Estimate, decades: float) -> str:
    """No bare number beyond one decade: the interval alone."""
    return interval(e) if decades <= 1 else f"[{e.low:.4g}, {e.high:.4g}]"
