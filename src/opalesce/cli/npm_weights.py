"""`opalesce npm pores` and `npm flow`: weights as pores, weights as a flow network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import need

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]


def pores(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder or file with checkpoints.")],
    as_json: AsJson = False,
) -> None:
    """Published pore statistics (pooled) beside the Weibull line of single matrices, per checkpoint."""
    import numpy as np

    from opalesce.errors import InputError, OpalesceError
    from opalesce.runs.open import open as open_run
    from opalesce.theory.npm.pores import npm_pore_stats
    from opalesce.theory.npm.weibull import ANCHOR_SHAPE, weibull_line

    opened = open_run(run)
    need(bool(opened.checkpoints), "this run has no checkpoints", "safetensors files", opened.name)
    rows: list[dict[str, Any]] = []
    with Progress() as progress:
        for i, c in enumerate(opened.checkpoints):
            progress(f"reading {opened.name}: {i} of {len(opened.checkpoints)}")
            try:
                names = [n for n, t in c.tensors().items() if len(t.shape) >= 2]
                parts = [c.read(n) for n in names]
                pooled = asdict(npm_pore_stats([np.asarray(p, float) for p in parts]))
                shapes = {}
                for n, p in zip(names, parts, strict=True):
                    try:
                        shapes[n] = weibull_line(p).shape
                    except InputError:
                        continue  # too few weights for a line
                rows.append({"step": c.step, "pooled": pooled, "weibull": shapes, "status": ""})
            except OpalesceError as error:
                rows.append({"step": c.step, "pooled": None, "weibull": {}, "status": error.what})
    if as_json:
        print_json({"schema": "opalesce.npm-pores/1", "run": opened.name, "rows": rows})
        return
    head = f"Weibull k of single matrices (half-normal {ANCHOR_SHAPE:.3f})"
    say(f"step        mean |w|    CV     Gini   large  {head}")
    for row in rows:
        if row["pooled"] is None:
            say(f"{row['step']:<10g}  {row['status']}")
            continue
        p, k = row["pooled"], sorted(row["weibull"].values())
        text = f"{k[0]:.3f} to {k[-1]:.3f}" if k else "too few weights"
        say(f"{row['step']:<10g}  {p['mean']:.4g}  {p['cv']:.4f}  {p['gini']:.4f}  {p['large']:.3f}  {text}")
    say(
        "note: pooled over tensors of different scale; compare with "
        "`opalesce measure --observables abs_cv,gini`"
    )


def flow(
    matrices: Annotated[
        list[str],
        typer.Argument(
            metavar="CKPT...", help="FILE.safetensors::TENSOR or FILE.npy, in the order of layers."
        ),
    ],
    transpose: Annotated[
        bool, typer.Option("--transpose/--as-stored", help="Stored as (out, in), as torch does.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """A chain of weight matrices as a flow network; a square matrix with rows that sum to 1 as attention."""
    import numpy as np

    from opalesce.cli.arrays import load_matrix
    from opalesce.theory.percolation.attention_flow import currents, entropy_production
    from opalesce.theory.percolation.flow import layered_flow

    chain = [np.asarray(load_matrix(m), float) for m in matrices]
    first = chain[0]
    document: dict[str, Any] = {"schema": "opalesce.npm-flow/1", "shapes": [list(w.shape) for w in chain]}
    kernel = len(chain) == 1 and first.shape[0] == first.shape[1] and (first >= 0).all()
    if kernel and np.allclose(first.sum(axis=1), 1, atol=1e-6):
        document["attention"] = {
            "largest error of a row sum": float(np.abs(first.sum(axis=1) - 1).max()),
            "spread of column sums": float(np.ptp(first.sum(axis=0))),
            "largest current": float(np.abs(currents(first)).max()),
            "entropy production": entropy_production(first),
        }
    else:
        got = layered_flow([w.T for w in chain] if transpose else chain)
        document["flow"] = {
            "effective conductance": got.conductance,
            "share of edges that carry it": got.participation,
            "conservation residual": got.residual,
        }
    if as_json:
        print_json(document)
        return
    shown: dict[str, float] = document.get("attention") or document["flow"]
    for key, value in shown.items():
        say(f"{key}: {value:.6g}")
