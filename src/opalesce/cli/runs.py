"""The verbs of a run: check, measure, report, demo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opalesce.cli.opening import AsJson, Many, One, Pickle, open_said
from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import folder, names, need, seconds, shard_of

if TYPE_CHECKING:
    from opalesce.runs.check import Finding
    from opalesce.runs.run import Run
    from opalesce.transitions.result import Trial

FINDINGS = 1  # exit code
LEVELS = {
    "high": ("fault",),
    "fault": ("fault",),
    "medium": ("fault", "warning"),
    "warning": ("fault", "warning"),
    "low": ("fault", "warning", "note"),
    "note": ("fault", "warning", "note"),
}


def check(
    runs: Many,
    full: Annotated[bool, typer.Option("--full", help="Stream every byte.")] = False,
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="Exit 1 from: high (faults), medium (warnings), low (notes).")
    ] = "medium",
    allow_pickle: Pickle = False,
    as_json: AsJson = False,
) -> None:
    """Is this run what it claims to be? Headers, samples and curves in seconds, no torch."""
    from dataclasses import asdict

    from opalesce.runs.check import check as doctor

    need(fail_on in LEVELS, "no such level", f"one of {', '.join(LEVELS)}", fail_on)
    opened = [open_said(r, allow_pickle) for r in runs]
    with Progress() as progress:
        findings = doctor(
            *opened, full=full, progress=lambda name, i, n: progress(f"checking {name}: {i} of {n}")
        )
    if as_json:
        print_json(
            {
                "schema": "opalesce.check/1",
                "runs": [{"name": r.name, **asdict(r.scan)} for r in opened],
                "findings": [asdict(f) for f in findings],
            }
        )
    else:
        _show(findings)
    raise typer.Exit(_code(findings, LEVELS[fail_on]))


def measure(
    run: One,
    observables: Annotated[
        str | None,
        typer.Option(
            "--observables",
            help="Names or families (multifractal, spectra, depth ...), by commas; default all of weights.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the results and the store.")] = Path(
        "measured"
    ),
    jobs: Annotated[int, typer.Option("--jobs", help="Worker processes.")] = 1,
    engine: Annotated[
        str | None, typer.Option("--engine", help="loky, threading, dask://HOST:PORT, ray://HOST:PORT.")
    ] = None,
    gpus: Annotated[float, typer.Option("--gpus", help="GPUs that each task asks of a cluster.")] = 0,
    shard: Annotated[str | None, typer.Option("--shard", help="i/n: one of n processes (i from 0).")] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Time, such as 60s or 5min: a fair sample of the modules.")
    ] = None,
    allow_pickle: Pickle = False,
    as_json: AsJson = False,
) -> None:
    """Measure observables at every checkpoint and module. Interrupted, it goes on when run again."""
    from opalesce.measure.aggregate import sampled_means
    from opalesce.measure.sweep import measure as sweep
    from opalesce.measure.table import tidy, write_csv
    from opalesce.report.html import write_exhibits
    from opalesce.report.structure import training_exhibits

    need(jobs != 0, "no such number of workers", "1 or more, or -1 for all cores", str(jobs))
    part = shard_of(shard)
    opened = open_said(run, allow_pickle)
    folder(out)
    with Progress() as progress:
        ds = sweep(
            opened,
            names(observables),
            out=out / "store",
            engine=engine,
            shard=part,
            n_jobs=jobs,
            gpus=gpus,
            budget=seconds(budget),
            progress=lambda i, n: progress(f"measuring {opened.name}: {i} of {n}"),
        )
    frame = tidy(ds)
    table = write_csv(frame, out / "measured.csv")
    figures = training_exhibits(ds)
    page = write_exhibits(figures, out, f"Structure of {opened.name}", [], "structure") if figures else None
    broken = _unreadable(ds, opened)
    if as_json:
        print_json(
            {
                "schema": "opalesce.measure/1",
                "run": opened.name,
                "table": str(table),
                "page": None if page is None else str(page),
                "unreadable": broken,
                "coverage": ds.attrs["coverage"],
                "means": sampled_means(ds),
                "rows": frame.to_dict("records"),
            }
        )
    else:
        say(f"{len(frame)} values of {frame['name'].nunique()} observables and columns: {table}")
        if ds.attrs["coverage"]:
            say(ds.attrs["coverage"])
        for m in sampled_means(ds):
            say(
                f"  {m['name']}: mean over {m['visited']} of {m['modules']} modules at {m['step']:g}: "
                f"{m['mean']:.4g} [{m['low']:.4g}, {m['high']:.4g}]"
            )
        for sentence in sorted({s for s in frame["status"] if s})[:10]:
            say(f"  not measured: {sentence}")
        if page is not None:
            say(str(page))
    raise typer.Exit(FINDINGS if broken else 0)


def report(
    run: One,
    null: Annotated[list[str] | None, typer.Option("--null", help="Null runs: nothing to learn.")] = None,
    seeds: Annotated[list[str] | None, typer.Option("--seeds", help="Other seeds of the run.")] = None,
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
    allow_pickle: Pickle = False,
    as_json: AsJson = False,
) -> None:
    """Put the transitions of a run on trial and write the report."""
    from math import inf

    from opalesce.report.build import report as write
    from opalesce.transitions.trial import trial

    need(wstar is None or 0 < wstar < inf, "W* is a length on the axis", "a positive number", str(wstar))
    need(jobs != 0, "no such number of workers", "1 or more, or -1 for all cores", str(jobs))
    need(seed >= 0, "a seed is a whole number", "0 or more", str(seed))
    opened = open_said(run, allow_pickle)
    folder(out)
    with Progress() as progress:
        held = trial(
            opened,
            null=[open_said(n, allow_pickle) for n in null or []],
            seeds=[open_said(s, allow_pickle) for s in seeds or []],
            events=events,
            alpha=alpha,
            observables=names(observables),
            wstar=wstar,
            scale=scale,
            store=out / "store",
            n_jobs=jobs,
            seed=seed,
            say=progress,
        )
        path = write(held, out)
    _finish(held, path, as_json)


def demo(
    system: Annotated[
        str, typer.Argument(metavar="[concepts|induction]", help="Which known system to train.")
    ] = "concepts",
    out: Annotated[Path, typer.Option("--out", help="Folder of runs and report.")] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed", help="First of the seeds.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a small system whose truth is known, with null twins, and report on it.

    concepts: theory predicts before the training. induction: one transition, found and judged.
    """
    need(system in ("concepts", "induction"), "no such demo", "concepts or induction", system)
    if system == "concepts":
        from opalesce.systems.concepts.demo import demo as play
    else:
        from opalesce.systems.demo import demo as play

    need(seed >= 0, "a seed is a whole number", "0 or more", str(seed))
    folder(out)
    with Progress() as progress:
        held, path = play(out, seed, progress)
    _finish(held, path, as_json)


def _show(findings: Sequence[Finding]) -> None:
    for f in findings:
        say(str(f))
    count = {s: sum(f.severity == s for f in findings) for s in ("fault", "warning", "note")}
    say(", ".join(f"{n} {s}{'s' * (n != 1)}" for s, n in count.items()))


def _code(findings: Sequence[Finding], grave: tuple[str, ...] = ("fault", "warning")) -> int:
    return FINDINGS if any(f.severity in grave for f in findings) else 0


def _finish(held: Trial, path: Path, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(path.with_name("report.json").read_text("utf-8")))
    else:
        from opalesce.report.phrases import span

        for t in held.transitions:
            who = ", ".join(t.witnesses)
            say(f"{t.verdict:16} {held.setting.axis.name} {span(t.place)}  {who}: {t.reason}")
        for note in held.notes:
            say(f"note: {note}", err=True)
        say(str(path))
    raise typer.Exit(_code(held.findings))


def _unreadable(ds: Any, run: Run) -> list[float]:
    """Steps of the checkpoints that could not be opened."""
    if "fingerprint" not in ds.coords:
        return []
    known = dict(zip(ds["step"].values.tolist(), ds["fingerprint"].values.tolist(), strict=True))
    return [float(c.step) for c in run.checkpoints if not known.get(float(c.step))]
