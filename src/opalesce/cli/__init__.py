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

from opalesce.cli import laws, npm, theory
from opalesce.cli.audit import audit
from opalesce.cli.compare import compare
from opalesce.cli.depth import depth
from opalesce.cli.explain import explain
from opalesce.cli.figures import figures
from opalesce.cli.loud import LOGGER, loud
from opalesce.cli.percolate import percolate
from opalesce.cli.percolate_data import percolate_data
from opalesce.cli.plan import plan
from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import folder, names, need, seconds, shard_of, spread, usage
from opalesce.cli.verify import verify
from opalesce.errors import OpalesceError

if TYPE_CHECKING:
    from opalesce.runs.check import Finding
    from opalesce.runs.run import Run
    from opalesce.transitions.result import Trial

app = typer.Typer(
    name="opalesce",
    help="Find, measure and judge transitions in neural networks. "
    "Exit codes: 0 fine, 1 findings, 2 bad input, 3 internal fault. "
    "Anywhere: --verbose says what is done, --log-file FILE keeps it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


Many = Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders, files or hf://org/model@rev*.")]
One = Annotated[str, typer.Argument(metavar="RUN", help="Folder, file or hf://org/model@rev*.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]
Pickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Open .pt, .pth, .bin, .ckpt of people you trust, confined.")
]
FINDINGS, BAD_INPUT, FAULT = 1, 2, 3


@app.command()
def check(
    runs: Many,
    full: Annotated[bool, typer.Option("--full", help="Stream every byte.")] = False,
    allow_pickle: Pickle = False,
    as_json: AsJson = False,
) -> None:
    """Is this run what it claims to be? Headers, samples and curves in seconds, no torch."""
    from dataclasses import asdict

    from opalesce.runs.check import check as doctor

    opened = [_open(r, allow_pickle) for r in runs]
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
    raise typer.Exit(_code(findings))


@app.command()
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
    opened = _open(run, allow_pickle)
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


@app.command()
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
    opened = _open(run, allow_pickle)
    folder(out)
    with Progress() as progress:
        held = trial(
            opened,
            null=[_open(n, allow_pickle) for n in null or []],
            seeds=[_open(s, allow_pickle) for s in seeds or []],
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


@app.command()
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


@app.command()
def observables(as_json: AsJson = False) -> None:
    """List the registered observables: what each is, on what, in which unit, from which source."""
    from opalesce.observables.registry import load

    found = sorted(load().values(), key=lambda o: (o.on, o.name))
    if as_json:
        keys = ("name", "on", "unit", "lineage", "null", "source", "version", "summary")
        rows = [{k: getattr(o, k) for k in keys} | {"symmetries": sorted(o.symmetries)} for o in found]
        print_json({"schema": "opalesce.observables/1", "observables": rows})
        return
    for o in found:
        say(f"{o.name:28} {o.on:16} [{o.unit}]  {o.summary}  ({o.source})")


@app.command()
def cite(name: Annotated[str, typer.Argument(metavar="NAME", help="Observable or BibTeX key.")]) -> None:
    """Print the BibTeX of an observable's source."""
    from opalesce.cite import cite as entry

    say(entry(name))


app.command("audit")(audit)
app.command("depth")(depth)
app.command("fit")(laws.fit)
app.command("forecast")(laws.forecast)
app.command("mirage")(laws.mirage)
app.command("allocate")(laws.allocate)
app.command("percolate")(percolate)
app.command("explain")(explain)
app.command("compare")(compare)
app.command("figures")(figures)
app.command("plan")(plan)
app.command("verify")(verify)
app.command("percolate-data")(percolate_data)
app.add_typer(npm.app, name="npm")
app.add_typer(theory.app, name="theory")


def _open(source: str, allow_pickle: bool = False) -> Run:
    """Open a run and say what the scan took and left."""
    from collections import Counter
    from dataclasses import replace

    from opalesce.report.clean import clean
    from opalesce.runs.open import open as open_run

    run = open_run(source, allow_pickle=allow_pickle)
    run = replace(run, name=clean(run.name))  # a name that is not text cannot be written anywhere
    took = Counter(kind for _, kind in run.scan.took)
    kinds = ", ".join(f"{n} {kind}" for kind, n in took.items())
    say(f"{run.name}: took {kinds or 'nothing'}; left {len(run.scan.left)}", err=True)
    for path, reader in run.scan.took:
        LOGGER.debug("took %s: %s", path, reader)
    for left in run.scan.left:
        LOGGER.debug("left %s: %s", left.path, left.why)
    for left in run.scan.left[:10]:
        say(f"  left {left.path}: {left.why}", err=True)
    if len(run.scan.left) > 10:
        say(f"  and {len(run.scan.left) - 10} more (all with --json)", err=True)
    return run


def _show(findings: Sequence[Finding]) -> None:
    for f in findings:
        say(str(f))
    count = {s: sum(f.severity == s for f in findings) for s in ("fault", "warning", "note")}
    say(", ".join(f"{n} {s}{'s' * (n != 1)}" for s, n in count.items()))


def _code(findings: Sequence[Finding]) -> int:
    return FINDINGS if any(f.severity != "note" for f in findings) else 0


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (the console script passes it on)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        words = loud(words)
        LOGGER.info("opalesce %s", " ".join(words))
        return int(app(spread(words), standalone_mode=False) or 0)
    except OpalesceError as error:
        LOGGER.debug("stopped", exc_info=True)
        say(f"opalesce: {error}", err=True)
        if "--json" in words:
            print_json({"schema": "opalesce.error/1", "kind": type(error).__name__, **error.parts()})
        return error.exit_code
    except typer.Abort:
        say("opalesce: interrupted; what was measured is kept", err=True)
        return BAD_INPUT
    except OSError as error:  # a disk that is full, a folder that went away: the machine, not the program
        say(f"opalesce: {error.filename or 'a file'} cannot be read or written\n  got: {error}", err=True)
        return BAD_INPUT
    except Exception as error:
        if hasattr(error, "format_message"):
            say(usage(error, words), err=True)
            return BAD_INPUT
        LOGGER.debug("internal fault", exc_info=True)
        traceback.print_exc()
        say("opalesce: internal fault; please report the lines above", err=True)
        return FAULT
