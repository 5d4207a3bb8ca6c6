"""`opalesce npm`: the neural percolation model, what it says and what it cannot."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from opalesce.cli.npm_weights import flow, pores
from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import need

app = typer.Typer(
    help="The neural percolation model: what it says, and what it cannot.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]


@app.command()
def predict(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run whose config names tokens, breadth, params.")
    ] = None,
    tokens: Annotated[float | None, typer.Option("--tokens", help="Training tokens, a count.")] = None,
    breadth: Annotated[
        float | None, typer.Option("--breadth", help="Breadth of the data, above 0, at most 1.")
    ] = None,
    params: Annotated[float | None, typer.Option("--params", help="Parameters, a count.")] = None,
    as_json: AsJson = False,
) -> None:
    """Density, connectivity number and order of capabilities; and what of it can be tested."""
    from opalesce.theory.npm.blayer import (
        connectivity,
        critical_density,
        density,
        identity,
        min_layers,
        min_params,
    )
    from opalesce.theory.npm.field import CAPABILITIES, onset_tokens

    if run is not None:
        said = _from_run(run)
        tokens, breadth, params = (
            tokens or said["tokens"],
            breadth or said["breadth"],
            params or said["params"],
        )
    need(tokens is not None, "how many tokens?", "--tokens N, or a run whose config says num_tokens", "none")
    need(breadth is not None, "how broad are the data?", "--breadth S (0.7 for the Pile, by hand)", "none")
    assert tokens is not None
    assert breadth is not None
    c_n = float(connectivity(tokens, breadth))
    onsets = onset_tokens(breadth)
    document: dict[str, Any] = {
        "schema": "opalesce.npm/1",
        "tokens": tokens,
        "breadth": breadth,
        "params": params,
        "constants": identity(),
        "density": float(density(tokens, breadth)),
        "critical_density": float(critical_density(breadth)),
        "connectivity": c_n,
        "capabilities": [
            {
                "name": c.name,
                "connectivity": c.connectivity,
                "tokens": onsets[c.name],
                "there": c_n >= c.connectivity,
            }
            for c in CAPABILITIES
        ],
        "least_layers": int(min_layers(breadth)),
        "least_params": float(min_params(tokens, breadth)),
        "identifiable": IDENTIFIABLE,
        "source": "ding2026percolation",
    }
    if as_json:
        print_json(document)
        return
    state = "fragmented" if c_n < 1 else "connected"
    say(
        f"C_n = {c_n:.3g} ({state}): density {document['density']:.4g}, "
        f"critical {document['critical_density']:.4g}"
    )
    for c in document["capabilities"]:
        say(
            f"  {'there' if c['there'] else 'not yet':8} {c['name']:24} "
            f"from {c['tokens']:.3g} tokens (C_n {c['connectivity']})"
        )
    if params is not None:
        say(
            f"parameters: the model asks for {document['least_params']:.3g}, 17 times what compute-optimal "
            "training "
            f"takes; thresholds do not depend on yours ({params:.3g})"
        )
    for line in IDENTIFIABLE:
        say(f"note: {line}")


IDENTIFIABLE = (
    "testable: the order of capabilities, that thresholds do not depend on size, the score of a fit",
    "not identifiable: the constants; a quarter of a grid of them fits the 14 models equally well",
    "not a result: the slope 0.076 was put into the fit, and is the exponent of parameters, not of tokens",
    "breadth was assigned by hand in the source; measure yours with opalesce.theory.npm.breadth",
)


def _from_run(path: Path) -> dict[str, float | None]:
    from opalesce.runs.open import open as open_run

    config = open_run(path).config

    def first(*names: str) -> float | None:
        for n in names:
            value = config.get(n)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
        return None

    return {
        "tokens": first("num_tokens", "tokens", "train_tokens", "total_tokens"),
        "breadth": first("breadth", "sigma"),
        "params": first("num_parameters", "params", "n_params"),
    }


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV: model,tokens,breadth,params,score.")],
    target: Annotated[
        float, typer.Option("--target-slope", help="Slope put in: 0.095 tokens, 0.076 paper.")
    ] = 0.095,
    as_json: AsJson = False,
) -> None:
    """The published fit, beside its baselines, and how much of it the table identifies."""
    import numpy as np

    from opalesce.theory.npm.fit import baselines, chance, identifiability
    from opalesce.theory.npm.fit import fit as fit_models

    models = _models(table)
    with Progress() as progress:
        progress("fitting")
        got = fit_models(models, target)
        best, share = identifiability(models)
    base = baselines(models, got.constants)
    limit = chance(models, np.random.default_rng(0))
    if as_json:
        print_json(
            {
                "schema": "opalesce.npm-fit/1",
                "spearman": got.spearman,
                "slope": got.slope,
                "target_slope": got.target_slope,
                "constants": asdict(got.constants) if share < 0.01 else None,
                "constants_status": ""
                if share < 0.01
                else f"not identifiable: {share:.0%} of a grid is as good",
                "best": best,
                "share_as_good": share,
                "baselines": base,
                "chance_95": limit,
            }
        )
        return
    say(
        f"rank correlation {got.spearman:.4f} (chance reaches {limit:.3f} in 5 of 100); "
        f"slope {got.slope:.4f}, put in"
    )
    for name, value in sorted(base.items(), key=lambda kv: -kv[1]):
        say(f"  {name:16} {value:.3f}")
    if share >= 0.01:
        say(f"constants: not identifiable; {share:.0%} of a grid of them reaches {best:.4f} as well")
    else:
        say(f"constants: {asdict(got.constants)}")


def _models(table: Path) -> Any:
    import pandas as pd

    from opalesce.errors import InputError
    from opalesce.theory.npm.fit import Models

    columns = {"model": ("model",), "tokens": ("tokens", "tokens_B"), "breadth": ("breadth", "sigma_est"),
               "params": ("params", "params_B"), "score": ("score", "mmlu_approx")}  # fmt: skip
    try:
        frame = pd.read_csv(table)
    except (OSError, ValueError) as error:
        raise InputError(f"{table.name} is no table", expected="CSV", got=str(error)) from error
    found = {k: next((n for n in names if n in frame), None) for k, names in columns.items()}
    if None in found.values():
        missing = [k for k, v in found.items() if v is None]
        raise InputError(
            f"{table.name} lacks columns",
            expected="model,tokens,breadth,params,score",
            got=f"no {', '.join(missing)}",
        )
    parts = {k: frame[v].to_numpy() for k, v in found.items() if v is not None}
    for k in ("tokens", "params"):
        if str(found[k]).endswith("_B"):
            parts[k] = 1e9 * parts[k].astype(float)
    return Models.of(parts["model"], parts["tokens"], parts["breadth"], parts["params"], parts["score"])


app.command()(pores)
app.command()(flow)


@app.command(name="phenomena")
def phenomena_(
    run: Annotated[
        bool, typer.Option("--run", help="Train small networks and judge the predictions.")
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", help="Seeds, three or more; a minute each.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="First of the seeds.")] = 201,
    as_json: AsJson = False,
) -> None:
    """The sixteen phenomena with their predictions and status; --run puts the testable ones to the test."""
    from opalesce.theory.npm.phenomena import PHENOMENA

    need(seeds >= 3, "an interval needs seeds", "3 or more", str(seeds))
    judged = []
    if run:
        from opalesce.systems.concepts.operations import run as experiment

        with Progress() as progress:
            judged = experiment(range(seed, seed + seeds), progress)
    if as_json:
        print_json(
            {
                "schema": "opalesce.npm-phenomena/1",
                "phenomena": [asdict(p) for p in PHENOMENA],
                "judged": [asdict(j) for j in judged],
            }
        )
        return
    for p in PHENOMENA:
        say(f"{p.status:14} {p.name}: {p.says}" + (f"  [{p.experiment}]" if p.experiment else ""))
    for j in judged:
        say(
            f"{j.outcome:12} {j.prediction.name}: expected {j.prediction.expected}; seen {j.seen}, {j.reason}"
        )
