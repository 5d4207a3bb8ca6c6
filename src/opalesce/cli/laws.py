"""`fit`, `forecast`, `allocate` and `mirage`: laws, what comes next, and whether a jump is real."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opalesce.cli.laws_pages import (
    FORECAST_CITES,
    MIRAGE_CITES,
    allocate_lines,
    allocate_warnings,
    fit_lines,
    forecast_document,
    mirage_counts,
    mirage_document,
    write_page,
)
from opalesce.cli.terminal import print_json, say
from opalesce.cli.typed import folder, need
from opalesce.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Table = Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV or JSON lines; .gz is read too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]
Level = Annotated[float, typer.Option("--level", help="Confidence level of the intervals.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the bootstrap.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for a page of figures and JSON.")]
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
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Fit a law: parameters with intervals, every optimum, and how much each choice matters."""
    from opalesce.laws.fit import fit as run

    if out is not None:
        folder(out)
    need(breaks == "auto" or breaks.isdigit(), "a number of breaks", "0 to 3, or auto", breaks)
    names = [c.strip() for c in x.split(",") if c.strip()]
    frame = read(table, [*names, y, *([group] if group else [])])
    need(len(names) in (1, 2), "a law has one input or two", "--x col, or --x N_col,D_col", x)
    inputs = frame[names[0]] if len(names) == 1 else {"N": frame[names[0]], "D": frame[names[1]]}
    f = run(
        law, inputs, frame[y], n_breaks="auto" if breaks == "auto" else int(breaks),
        groups=frame[group] if group else None, level=level, seed=seed, delta=delta,
    )  # fmt: skip
    document = {
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
    lines, notes = fit_lines(f, level), f.diagnostics["notes"]
    if out is not None:
        from opalesce.report.law_panels import fit_exhibits

        said = [*fit_lines(f, level, short=True), *(f"warning: {n}" for n in notes)]
        figures = fit_exhibits(f, names[0], y)
        title = f"Law of {y}: {table.name}"
        document["page"] = str(write_page(out, "fit", title, said, figures, document, f.law.cites))
    if as_json:
        print_json(document)
        return
    for line in lines:
        say(line)
    for note in notes:
        say(f"note: {note}", err=True)
    if out is not None:
        say(str(document["page"]))


def forecast(
    table: Table,
    x: Annotated[str, typer.Option("--x", help="Column of x.")],
    y: Y,
    to: Annotated[str, typer.Option("--to", help="Where to predict; several by commas.")],
    law: Annotated[str, typer.Option("--law", help="auto, or names of laws by commas.")] = "auto",
    group: Annotated[str | None, typer.Option("--group", help="Column that names the run.")] = None,
    run_name: Annotated[
        str | None, typer.Option("--run", help="The run to foretell, from the others of --group.")
    ] = None,
    level: Level = 0.9,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Extrapolate, with intervals that were tried on the past of the same curve."""
    from opalesce.laws.forecast import forecast as run

    if out is not None:
        folder(out)
    need((group is None) == (run_name is None), "a family", "--group and --run, or neither", "one of them")
    frame = read(table, [x, y, *([group] if group else [])])
    places = [number(t, "--to") for t in to.split(",") if t.strip()]
    laws: Any = "auto" if law == "auto" else law.split(",")
    family: Any = None
    if group is not None:
        runs = {str(k): rows for k, rows in frame.groupby(group)}
        need(run_name in runs, f"no run of that name in {group}", ", ".join(runs)[:200], str(run_name))
        frame = runs.pop(str(run_name))
        family = {k: (rows[x], rows[y]) for k, rows in runs.items()}
    f = run(frame[x], frame[y], to=places, law=laws, level=level, family=family)
    document = forecast_document(f)
    if out is not None:
        import numpy as np

        from opalesce.report.law_panels import forecast_exhibit

        # the fan between the last point and the farthest target, with the back-test of the targets asked for
        ends = float(frame[x].max()), max(places)
        fan = np.geomspace(*ends, 40).tolist()[1:] if ends[1] > ends[0] else []
        dense = run(frame[x], frame[y], to=sorted({*fan, *places}), law=laws, level=level, family=family)
        dense = replace(dense, coverage=f.coverage, tested=f.tested)
        weights = ", ".join(f"{k} {w:.2f}" for k, w in f.weights.items() if w >= 0.005)
        said = [*str(f).splitlines(), f"weights: {weights}"]
        figures, title = [forecast_exhibit(dense, x, y, places)], f"Forecast of {y}: {table.name}"
        document["page"] = str(write_page(out, "forecast", title, said, figures, document, FORECAST_CITES))
    if as_json:
        print_json(document)
        return
    say(str(f))
    if out is not None:
        say(str(document["page"]))


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
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Compute-optimal parameters and tokens, with intervals from a bootstrap over runs."""
    from opalesce.laws.allocate import allocate as run

    if out is not None:
        folder(out)
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
    rows = [{k: v for k, v in vars(a).items() if k != "fit"} for a in found]
    rows = [{k: asdict(v) if hasattr(v, "low") else v for k, v in r.items()} for r in rows]
    document = {"schema": "opalesce.allocate/1", "params": found[0].fit.params, "rows": rows}
    lines = allocate_lines(found, len(frame), drop_worst)
    if out is not None:
        from opalesce.report.law_panels import allocation_exhibit, fit_exhibits

        fitted, law = found[0].fit, found[0].fit.law
        said = [*lines, *fit_lines(fitted, level, short=True), *allocate_warnings(found)]
        figures = [allocation_exhibit(found), *fit_exhibits(fitted, n, y)]
        title = f"Where compute is best spent: {table.name}"
        document["page"] = str(write_page(out, "allocate", title, said, figures, document, law.cites))
    if as_json:
        print_json(document)
        return
    for line in lines:
        say(line)
    if out is not None:
        say(str(document["page"]))


def mirage(
    evals: Annotated[
        Path, typer.Argument(metavar="EVALS", help="Folder of evaluation files, or a table of scores.")
    ],
    chance: Annotated[
        str | None, typer.Option("--chance", help="task=score, by commas; tasks by name or its beginning.")
    ] = None,
    wstar: Annotated[float, typer.Option("--wstar", help="Resolution of sharp, W*, in decades.")] = 0.8,
    level: Level = 0.9,
    seed: Seed = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Real, metric artefact, or cannot tell: each task's jump, with the onset of each metric."""
    from opalesce.report.clean import clean
    from opalesce.transitions.mirage import mirage as run

    if out is not None:
        folder(out)
    known = {}
    for pair in (chance or "").split(","):
        if pair.strip():
            task, _, score = pair.partition("=")
            known[task.strip()] = number(score, "--chance")
    rows = run(evals, chance=known, wstar=wstar, level=level, seed=seed)
    document = mirage_document(rows)
    if out is not None:
        from opalesce.report.mirage_panels import chosen, mirage_exhibits

        drawn = len(chosen(rows))
        said = [
            *mirage_counts(rows),
            f"{drawn} of {len(rows)} tasks are drawn: those with a verdict, then by how surely they "
            "moved; mirage.json has all",
            "a jump is a metric artefact when its continuous metric left the start earlier, and smoothly",
            f"{level:.0%} intervals of onsets; errors of one task's checkpoints are taken as independent",
        ]
        title = f"Real or mirage: {evals.name}"
        page = write_page(out, "mirage", title, said, mirage_exhibits(rows), document, MIRAGE_CITES)
        document["page"] = str(page)
    if as_json:
        print_json(document)
        return
    several = len({r.run for r in rows}) > 1
    for r in rows:
        name = f"{r.run}: {r.task}" if several else r.task
        say(f"{r.verdict:16} {clean(name)}: {clean(r.reason)}")
    for line in mirage_counts(rows):
        say(line)
    if out is not None:
        say(str(document["page"]))


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
