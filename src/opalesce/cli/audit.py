"""`opalesce audit`: structure of one checkpoint within a time budget, each number beside its null."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import folder, need, seconds

STARTED = time.monotonic()


def audit(
    source: Annotated[Path, typer.Argument(metavar="CKPT|FOLDER", help="A .safetensors file or a run.")],
    budget: Annotated[str | None, typer.Option("--budget", help="Time, such as 60s; default all.")] = None,
    step: Annotated[float | None, typer.Option("--step", help="Which checkpoint; default the last.")] = None,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="Text or .jsonl: also audit activations (needs torch).")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of shuffled copies.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for JSON and a page of figures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Heavy tails, spectra, multifractal, percolation (and geometry): one checkpoint, each with a null.

    Visits matrices in a stratified order until the budget is spent, and prints the share of parameters seen.
    """
    need(seed >= 0, "a seed is a whole number", "0 or more", str(seed))
    limit = seconds(budget)
    if out is not None:
        folder(out)
    from opalesce.cli.audit_activations import audit_activations
    from opalesce.measure.audit import audit as run_audit
    from opalesce.runs.open import open as open_run

    run = open_run(source)
    with Progress() as progress:
        found = run_audit(run, step, limit, seed, STARTED, progress)
        layers = audit_activations(source, prompts, seed, progress) if prompts is not None else None
    document = _document(run.name, found, seed, layers)
    if out is not None:
        document["page"] = str(_write(document, found, layers, out))
    if as_json:
        print_json(document)
        return
    for line in _lines(found, layers):
        say(line)
    if out is not None:
        say(str(document["page"]))


def _document(name: str, found: Any, seed: int, layers: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from opalesce.report.clean import clean

    rows = [
        {"module": m.module, "part": m.part, "block": m.block, "shape": list(m.shape), **asdict(x)}
        for m in found.matrices
        for x in m.lines
    ]
    document: dict[str, Any] = {
        "schema": "opalesce.audit/1",
        "run": name,
        "step": found.step,
        "seed": seed,
        "coverage": {
            "parameters": found.parameters,
            "seen": found.seen,
            "share": found.seen / max(found.parameters, 1),
            "matrices": len(found.matrices),
            "matrices_all": found.matrices_all,
            "seconds": found.seconds,
        },
        "network": [asdict(x) for x in found.network],
        "rows": rows,
        "skipped": dict(found.skipped),
    }
    if layers is not None:
        document["activations"] = layers
    return dict(clean(document))


def _write(document: dict[str, Any], found: Any, layers: Any, out: Path) -> Path:
    from opalesce.report.html import write_exhibits
    from opalesce.report.structure import audit_exhibits

    (out / "audit.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return write_exhibits(audit_exhibits(found, layers), out, "Audit", [found.coverage], "audit-figures")


def _lines(found: Any, layers: Any) -> list[str]:
    """Medians over matrices of each kind, beside the medians of their nulls."""
    import numpy as np

    kinds: dict[str, list[Any]] = {}
    for m in found.matrices:
        kinds.setdefault(m.part, []).append(m)
    out = []
    for part, matrices in kinds.items():
        out.append(f"{part}: {len(matrices)} matrices, {sum(m.parameters for m in matrices):,} parameters")
        for line in matrices[0].lines:
            same = [x for m in matrices for x in m.lines if x.name == line.name]
            value = [x.value for x in same if np.isfinite(x.value)]
            null = [x.null for x in same if np.isfinite(x.null)]
            if not value:
                out.append(f"  {line.name:24} none: {line.status}")
                continue
            text = f"  {line.name:24} {np.median(value):10.4g}"
            if null:
                text += f"   null {np.median(null):.4g} ({next(x.kind for x in same if x.kind)})"
            doubts = sum(bool(x.status) for x in same)
            out.append(text + (f"   {doubts} of {len(same)} doubtful" if doubts else ""))
    for x in found.network:
        if x.status:
            out.append(f"network: {x.name}: {x.status}")
        else:
            out.append(f"network: {x.name} {x.value:.4g} +- {x.stderr:.2g}   null {x.null:.4g} ({x.kind})")
    for name, why in list(found.skipped.items())[:5]:
        out.append(f"not seen: {name}: {why}")
    if len(found.skipped) > 5:
        out.append(f"not seen: {len(found.skipped) - 5} more (all with --json)")
    if layers is not None:
        out += layers["lines"]
    return [*out, found.coverage]
