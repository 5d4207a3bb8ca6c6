"""The command line: the same verbs as the Python API.

Exit codes: 0 fine, 1 findings, 2 bad input, 3 internal fault.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opalesce.errors import OpalesceError

if TYPE_CHECKING:
    from opalesce.runs.check import Finding
    from opalesce.runs.run import Run
    from opalesce.transitions.result import Trial

app = typer.Typer(
    name="opalesce",
    help="Find, measure and judge transitions in neural networks. "
    "Exit codes: 0 fine, 1 findings, 2 bad input, 3 internal fault.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Many = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders or files.")]
One = Annotated[Path, typer.Argument(metavar="RUN", help="Folder or file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]
FINDINGS, BAD_INPUT, FAULT = 1, 2, 3


@app.command()
def check(
    runs: Many,
    full: Annotated[bool, typer.Option("--full", help="Stream every byte.")] = False,
    as_json: AsJson = False,
) -> None:
    """Is this run what it claims to be? Headers, samples and curves in seconds, no torch."""
    from dataclasses import asdict

    from opalesce.runs.check import check as doctor

    opened = [_open(r) for r in runs]
    with _Progress() as progress:
        findings = doctor(
            *opened, full=full, progress=lambda name, i, n: progress(f"checking {name}: {i} of {n}")
        )
    if as_json:
        _print_json(
            {
                "schema": "opalesce.check/1",
                "runs": [{"name": r.name, **asdict(r.scan)} for r in opened],
                "findings": [asdict(f) for f in findings],
            }
        )
    else:
        _show(findings)
    raise typer.Exit(_code(findings))


@app.command()
def measure(
    run: One,
    observables: Annotated[
        str | None, typer.Option("--observables", help="Names, separated by commas; default all.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the results and the store.")] = Path(
        "measured"
    ),
    jobs: Annotated[int, typer.Option("--jobs", help="Worker processes.")] = 1,
    engine: Annotated[str | None, typer.Option("--engine", help="joblib backend.")] = None,
    shard: Annotated[str | None, typer.Option("--shard", help="i/n: one of n processes (i from 0).")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure observables at every checkpoint and module. Interrupted, it goes on when run again."""
    from opalesce.measure.sweep import measure as sweep

    names = [n.strip() for n in observables.split(",") if n.strip()] if observables else None
    opened = _open(run)
    with _Progress() as progress:
        ds = sweep(
            opened,
            names,
            out=out / "store",
            engine=engine,
            shard=_shard(shard),
            n_jobs=jobs,
            progress=lambda i, n: progress(f"measuring {opened.name}: {i} of {n}"),
        )
    frame = _tidy(ds)
    table = out / "measured.csv"
    frame.to_csv(table, index=False)
    bad = sorted({s for s in frame["status"] if s})
    if as_json:
        _print_json(
            {
                "schema": "opalesce.measure/1",
                "run": opened.name,
                "table": str(table),
                "rows": json.loads(frame.to_json(orient="records")),
            }
        )
    else:
        typer.echo(f"{len(frame)} values of {frame['name'].nunique()} observables and columns: {table}")
        for sentence in bad[:10]:
            typer.echo(f"  not measured: {sentence}")
    raise typer.Exit(0)


@app.command()
def report(
    run: One,
    null: Annotated[list[Path] | None, typer.Option("--null", help="Null runs: nothing to learn.")] = None,
    seeds: Annotated[list[Path] | None, typer.Option("--seeds", help="Other seeds of the run.")] = None,
    events: Annotated[Path | None, typer.Option("--events", help="Known events, JSON or CSV.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of report.html and report.json.")] = Path(
        "report"
    ),
    observables: Annotated[
        str | None, typer.Option("--observables", help="Witnesses to call; the first five are judged.")
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="False-alarm rate per run.")] = 0.05,
    wstar: Annotated[float | None, typer.Option("--wstar", help="Resolution of sharp, W*.")] = None,
    scale: Annotated[str | None, typer.Option("--scale", help="Axis: log or linear.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all simulations.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", help="Worker processes for measuring.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Put the transitions of a run on trial and write the report."""
    from opalesce.report.build import report as write
    from opalesce.transitions.trial import trial

    opened = _open(run)
    with _Progress() as progress:
        held = trial(
            opened,
            null=[_open(n) for n in null or []],
            seeds=[_open(s) for s in seeds or []],
            events=events,
            alpha=alpha,
            observables=[n.strip() for n in observables.split(",")] if observables else None,
            wstar=wstar,
            scale=scale,
            store=out / "store",
            n_jobs=jobs,
            seed=seed,
            say=progress,
        )
        path = write(held, out)
    _finish(held, path, as_json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of runs and report.")] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed", help="First of three seeds.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a small system whose transition is known, with null twins, and report on it."""
    from opalesce.systems.demo import demo as play

    with _Progress() as progress:
        held, path = play(out, seed, progress)
    _finish(held, path, as_json)


@app.command()
def observables(as_json: AsJson = False) -> None:
    """List the registered observables: what each is, on what, in which unit, from which source."""
    from opalesce.observables.registry import load

    found = sorted(load().values(), key=lambda o: (o.on, o.name))
    if as_json:
        keys = ("name", "on", "unit", "lineage", "null", "source", "version", "summary")
        rows = [{k: getattr(o, k) for k in keys} | {"symmetries": sorted(o.symmetries)} for o in found]
        _print_json({"schema": "opalesce.observables/1", "observables": rows})
        return
    for o in found:
        typer.echo(f"{o.name:28} {o.on:16} [{o.unit}]  {o.summary}  ({o.source})")


@app.command()
def cite(name: Annotated[str, typer.Argument(metavar="NAME", help="Observable or BibTeX key.")]) -> None:
    """Print the BibTeX of an observable's source."""
    from opalesce.cite import cite as entry

    typer.echo(entry(name))


def _open(path: Path) -> Run:
    """Open a run and say what the scan took and left."""
    from collections import Counter

    from opalesce.runs.open import open as open_run

    run = open_run(path)
    took = Counter(kind for _, kind in run.scan.took)
    kinds = ", ".join(f"{n} {kind}" for kind, n in took.items())
    typer.echo(f"{run.name}: took {kinds or 'nothing'}; left {len(run.scan.left)}", err=True)
    for left in run.scan.left[:10]:
        typer.echo(f"  left {left.path}: {left.why}", err=True)
    if len(run.scan.left) > 10:
        typer.echo(f"  and {len(run.scan.left) - 10} more (all with --json)", err=True)
    return run


def _show(findings: Sequence[Finding]) -> None:
    for f in findings:
        typer.echo(str(f))
    count = {s: sum(f.severity == s for f in findings) for s in ("fault", "warning", "note")}
    typer.echo(", ".join(f"{n} {s}{'s' * (n != 1)}" for s, n in count.items()))


def _code(findings: Sequence[Finding]) -> int:
    return FINDINGS if any(f.severity != "note" for f in findings) else 0


def _finish(held: Trial, path: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(path.with_name("report.json").read_text("utf-8"))
    else:
        from opalesce.report.phrases import span

        for t in held.transitions:
            names = ", ".join(t.witnesses)
            typer.echo(f"{t.verdict:16} {held.setting.axis.name} {span(t.place)}  {names}: {t.reason}")
        for note in held.notes:
            typer.echo(f"note: {note}", err=True)
        typer.echo(str(path))
    raise typer.Exit(_code(held.findings))


def _tidy(ds: Any) -> Any:
    """One row per (step, module, name): value, standard error, status."""
    import pandas as pd

    parts = []
    for name in ds.data_vars:
        if name.endswith(("_status", "_stderr")):
            continue
        frame = ds[name].to_series().rename("value").reset_index()
        frame.insert(0, "name", name)
        for extra in ("stderr", "status"):
            if f"{name}_{extra}" in ds:
                frame[extra] = ds[f"{name}_{extra}"].to_series().to_numpy()
        parts.append(frame)
    out = pd.concat(parts, ignore_index=True)
    for column, empty in (("module", ""), ("status", ""), ("stderr", float("nan"))):
        out[column] = out[column].fillna(empty) if column in out else empty
    needless = out["status"].str.contains("which this module lacks")
    return out[~needless & (out["value"].notna() | (out["status"] != ""))]


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    from opalesce.errors import InputError

    i, slash, n = text.partition("/")
    if not (slash and i.isdigit() and n.isdigit()):
        raise InputError("no such shard", expected="i/n, such as 0/4", got=text)
    return int(i), int(n)


def _print_json(document: dict[str, Any]) -> None:
    from opalesce.report.clean import clean

    typer.echo(json.dumps(clean(document), indent=1, ensure_ascii=False))


class _Progress:
    """One status line with an ETA on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._status: Any = None
        self._since: dict[str, float] = {}

    def __enter__(self) -> _Progress:
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("starting")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, line: str) -> None:
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(line + self._eta(line)))

    def _eta(self, line: str) -> str:
        """Time left, from "what: i of n" lines with the same beginning."""
        import re
        import time

        found = re.fullmatch(r"(.+): (\d+) of (\d+)", line)
        if not found:
            return ""
        start = self._since.setdefault(found[1], time.monotonic())
        done, total = int(found[2]), int(found[3])
        if not done:
            return ""
        left = (time.monotonic() - start) / done * (total - done)
        return f" (about {left:.0f} s left)" if total > done else ""


def spread(argv: Sequence[str]) -> list[str]:
    """`--null a b c` becomes `--null a --null b --null c`, so that shell globs work."""
    out: list[str] = []
    option = ""
    for word in argv:
        if word in ("--null", "--seeds"):
            option = word
        elif word.startswith("-"):
            option = ""
            out.append(word)
        elif option:
            out += [option, word]
        else:
            out.append(word)
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (the console script passes it on)."""
    words = spread(sys.argv[1:] if argv is None else argv)
    try:
        return int(app(words, standalone_mode=False) or 0)
    except OpalesceError as error:
        typer.echo(f"opalesce: {error}", err=True)
        return error.exit_code
    except typer.Abort:
        typer.echo("opalesce: interrupted; what was measured is kept", err=True)
        return BAD_INPUT
    except Exception as error:
        if hasattr(error, "format_message"):  # click's own usage errors
            typer.echo(f"opalesce: {error.format_message()}\n  try: opalesce --help", err=True)
            return BAD_INPUT
        traceback.print_exc()
        typer.echo("opalesce: internal fault; please report the lines above", err=True)
        return FAULT
