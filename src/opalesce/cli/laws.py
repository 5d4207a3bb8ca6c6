"""`fit`, `forecast`, `allocate` and `mirage`: laws, what comes next, and whether a jump is real."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opalesce.cli.terminal import print_json, say
from opalesce.cli.typed import need
from opalesce.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from opalesce.estimate import Estimate

Table = Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV or JSON lines; .gz is read too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]
Level = Annotated[float, typer.Option("--level", help="Confidence level of the intervals.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the bootstrap.")]
Y = Annotated[str, typer.Option("--y", help="Column of the loss or error.")]


def fit(
    table: Table,
    y: Y,
    x: Annotated[str, typer.Option("--x", help="Column of x; several by commas: N,D.")],
    law: Annotated[
        str, typer.Option("--law", help="power, M1, M2, M3, M4, broken, chinchilla, kaplan.")
    ] = "power",
    breaks: Annotated[str, typer.Option("--breaks", help="Breaks of the broken law, or auto.")] = "auto",
    group: Annotated[str | None, typer.Option("--group", help="Column that names the run.")] = None,
    delta: Annotated[float | None, typer.Option("--delta", help="Huber's delta, in ln y.")] = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Fit a law: parameters with intervals, every optimum, and how much each choice matters."""
    from opalesce.laws.fit import fit as run

    need(breaks == "auto" or breaks.isdigit(), "a number of breaks", "0 to 3, or auto", breaks)
    names = [c.strip() for c in x.split(",") if c.strip()]
    frame = read(table, [*names, y, *([group] if group else [])])
    need(len(names) in (1, 2), "a law has one input or two", "--x col, or --x N_col,D_col", x)
    inputs = frame[names[0]] if len(names) == 1 else {"N": frame[names[0]], "D": frame[names[1]]}
    f = run(
        law, inputs, frame[y], n_breaks="auto" if breaks == "auto" else int(breaks),
        groups=frame[group] if group else None, level=level, seed=seed, delta=delta,
    )  # fmt: skip
    if as_json:
        print_json(
            {
                "schema": "opalesce.fit/1",
                "law": law,
                "formula": f.law.formula,
                "source": f.law.source,
                "params": f.params,
                "intervals": {k: asdict(e) for k, e in f.intervals.items()},
                "optima": f.optima,
                "diagnostics": f.diagnostics,
                "sensitivity": f.sensitivity,
            }
        )
        return
    d = f.diagnostics
    say(f"{f.law.formula}   ({f.law.source})")
    for name, e in f.intervals.items():
        say(f"  {name:8} {interval(e)}{'  ' + e.status if e.status else ''}")
    say(f"{level:.0%} intervals: {d['intervals']}; offsets, exponents and breaks of one curve: profile")
    runs = f", {d['runs']} runs" if d["runs"] else ""
    say(f"{d['n']} points{runs}; rmse of ln y {d['rmse']:.3g}; gradient left {d['gradient']:.1g}")
    say(f"{len(f.optima)} distinct optima within 10 % of the best objective")
    if d["breaks"]:
        errors = ", ".join(f"{k}: {e:.3g}" for k, e in d["breaks"]["held_out_rmse"].items())
        say(f"breaks: {d['breaks']['chosen']}, by {d['breaks']['why']} ({errors})")
    for row in f.sensitivity:
        say(
            f"  {row['change']:26} n = {row['n']:<5} "
            + "  ".join(f"{k} {p:.4g}" for k, p in row["params"].items())
        )
    for note in d["notes"]:
        say(f"note: {note}", err=True)


def forecast(
    table: Table,
    x: Annotated[str, typer.Option("--x", help="Column of x.")],
    y: Y,
    to: Annotated[str, typer.Option("--to", help="Where to predict; several by commas.")],
    law: Annotated[str, typer.Option("--law", help="auto, or names of laws by commas.")] = "auto",
    level: Level = 0.9,
    as_json: AsJson = False,
) -> None:
    """Extrapolate, with intervals that were tried on the past of the same curve."""
    from opalesce.laws.forecast import forecast as run

    frame = read(table, [x, y])
    places = [number(t, "--to") for t in to.split(",") if t.strip()]
    f = run(frame[x], frame[y], to=places, law="auto" if law == "auto" else law.split(","), level=level)
    if as_json:
        rows = [
            {"x": a, "median": m if far <= 1 else None, "lower": lo, "upper": hi, "decades": far}
            for a, m, lo, hi, far in zip(
                *(v.tolist() for v in (f.x, f.median, f.lower, f.upper, f.decades)), strict=True
            )
        ]
        print_json(
            {
                "schema": "opalesce.forecast/1",
                "level": level,
                "rows": rows,
                "tested": f.tested,
                "coverage": {str(k): v for k, v in f.coverage.items()},
                "weights": dict(f.weights),
                "warnings": list(f.warnings),
            }
        )
        return
    say(str(f))


def allocate(
    table: Table,
    compute: Annotated[str, typer.Option("--compute", help="Budgets in FLOP, by commas.")],
    n: Annotated[str, typer.Option("--n", help="Column of parameters.")] = "N",
    d: Annotated[str | None, typer.Option("--d", help="Column of tokens.")] = None,
    c: Annotated[str | None, typer.Option("--c", help="Column of FLOP, for D = C / (6 N).")] = None,
    y: Annotated[str, typer.Option("--y", help="Column of the loss.")] = "loss",
    group: Annotated[str | None, typer.Option("--group", help="Column that names the run.")] = None,
    drop_worst: Annotated[
        int, typer.Option("--drop-highest", help="Leave out this many runs of the highest loss.")
    ] = 0,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Compute-optimal parameters and tokens, with intervals from a bootstrap over runs."""
    from opalesce.laws.allocate import allocate as run

    need(drop_worst >= 0, "a number of runs to leave out", "0 or more", str(drop_worst))
    need(c is None or d is None, "tokens are given twice", "--d or --c", "both")
    last = c or d or "D"
    frame = read(table, [n, last, y, *([group] if group else [])])
    frame = frame.sort_values(y, kind="stable").iloc[: len(frame) - drop_worst]
    tokens = frame[last] / (6.0 * frame[n]) if c else frame[last]
    budgets = [number(t, "--compute") for t in compute.split(",") if t.strip()]
    found = run(
        frame[n], tokens, frame[y], budgets, groups=frame[group] if group else None, level=level, seed=seed
    )
    if as_json:
        rows = [{k: v for k, v in vars(a).items() if k != "fit"} for a in found]
        rows = [{k: asdict(v) if hasattr(v, "low") else v for k, v in r.items()} for r in rows]
        print_json({"schema": "opalesce.allocate/1", "params": found[0].fit.params, "rows": rows})
        return
    say(f"{found[0].fit.law.formula}, {len(frame)} runs, {drop_worst} of the highest loss left out")
    say(f"N* ~ C^a with a = {interval(found[0].exponent)}")
    for a in found:
        far = f"  {a.decades:+.2f} decades beyond the largest budget" if a.decades > 0 else ""
        say(
            f"C = {a.compute:.4g}: N {shown(a.N, a.decades)}  D {shown(a.D, a.decades)}  "
            f"D/N {shown(a.tokens_per_parameter, a.decades)}  loss {shown(a.loss, a.decades)}{far}"
        )


def mirage(
    evals: Annotated[Path, typer.Argument(metavar="EVALS", help="Folder of evaluation files of one model.")],
    chance: Annotated[
        str | None, typer.Option("--chance", help="task=score, by commas; tasks by name or its beginning.")
    ] = None,
    wstar: Annotated[float, typer.Option("--wstar", help="Resolution of sharp, W*, in decades.")] = 0.8,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Real, metric artefact, or cannot tell: each task's jump, with the onset of each metric."""
    from opalesce.report.clean import clean
    from opalesce.transitions.mirage import mirage as run

    known = {}
    for pair in (chance or "").split(","):
        if pair.strip():
            task, _, score = pair.partition("=")
            known[task.strip()] = number(score, "--chance")
    rows = run(evals, chance=known, wstar=wstar, level=level, seed=seed)
    if as_json:
        print_json({"schema": "opalesce.mirage/1", "rows": [asdict(r) for r in rows]})
        return
    for r in rows:
        say(f"{r.verdict:16} {clean(r.task)}: {clean(r.reason)}")
    for word in ("real", "metric artefact", "cannot tell"):
        say(f"{sum(r.verdict == word for r in rows):5} {word}")


def read(path: Path, columns: list[str]) -> pd.DataFrame:
    """Columns of a table on disk.

    Raises
    ------
    InputError
        No such file, not a table, or no such column.
    """
    import pandas as pd

    if not path.is_file():
        raise InputError(f"{path} is not there", expected="a CSV, TSV or JSON lines file", got=str(path))
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith((".jsonl", ".ndjson")):
            frame = pd.read_json(path, lines=True)
        else:
            frame = pd.read_csv(path, sep="\t" if name.endswith(".tsv") else ",")
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not a table", expected="CSV, TSV or JSON lines", got=str(error)[:100]
        ) from None
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise InputError(
            f"{path.name} has no column {', '.join(map(repr, missing))}",
            expected="one of " + ", ".join(map(str, frame.columns))[:300],
            got=", ".join(columns),
        )
    return frame


def number(text: str, option: str) -> float:
    """A number that was typed.

    Raises
    ------
    InputError
        Text that is no finite number.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    need(math.isfinite(value), f"{option} takes numbers", "such as 1e22", text)
    return value


def interval(e: Estimate) -> str:
    """Value and interval, an open end as such."""
    return f"{e.value:.5g} [{e.low:.5g}, {e.high:.5g}]"


def shown(e: Estimate, decades: float) -> Any:
    """No bare number beyond one decade: the interval alone."""
    return interval(e) if decades <= 1 else f"[{e.low:.4g}, {e.high:.4g}]"
