"""Small causal models of three sizes on a grammar made here, and a twin: `audit` and `depth` on each.

`python -m benchmarks.grammar --out validation/grammar [--device cuda]` trains what is missing and writes
`grammar.json` and `docs/grammar.md`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import markdown
from opalesce import measure
from opalesce.measure.audit import Audit, audit
from opalesce.measure.depth import depth
from opalesce.measure.layers import layer_geometry, layer_points
from opalesce.measure.models import load_model, random_weights, read_prompts, shuffled_tokens
from opalesce.report.clean import clean
from opalesce.runs.open import open as open_run
from opalesce.systems.grammar import SIZES, Grammar
from opalesce.systems.lm import Training, train
from opalesce.systems.once import once
from opalesce.transitions.depth_verdict import judge_depth
from opalesce.transitions.partial import partial_rank_correlation

ROOT = Path(__file__).resolve().parents[1]
SHOWN = (
    "stable_rank",
    "mp_outliers",
    "tail_alpha",
    "tail_distance",
    "multifractal_alpha0",
    "multifractal_width",
    "multifractal_r2",
    "abs_cv",
    "percolation_ratio",
)
NETWORK = (
    "multifractal_alpha0",
    "multifractal_width",
    "multifractal_emergence",
    "paper_alpha0",
    "paper_width",
    "paper_emergence",
)


def runs(home: Path, device: str) -> dict[str, Path]:
    """Folders of the three sizes and of the medium twin, trained where missing."""
    corpus, out = Grammar(), {}
    for name in (*SIZES, "medium_null"):
        size, null = name.removesuffix("_null"), name.endswith("_null")

        def make(folder: Path, size: str = size, null: bool = null) -> None:
            rate = 1e-3 if size == "large" else 2e-3
            plan = Training(3000, 128 if device == "cuda" else 32, rate, held_out=512)
            train(folder, corpus, corpus.sizes(*SIZES[size]), plan, 1, null, device)

        once(home / name, make)
        out[name] = home / name
    return out


def medians(found: Audit) -> dict[str, tuple[float, float]]:
    """Median over matrices of value and null."""
    out = {}
    for name in SHOWN:
        lines = [x for m in found.matrices for x in m.lines if x.name == name]
        value = [x.value for x in lines if np.isfinite(x.value)]
        null = [x.null for x in lines if np.isfinite(x.null)]
        out[name] = (float(np.median(value)) if value else np.nan, float(np.median(null)) if null else np.nan)
    return out


def training_rows(name: str, folder: Path) -> list[dict[str, Any]]:
    """Network-level numbers and the log of each checkpoint."""
    ds = measure(folder, [*NETWORK, "norm"])
    log = {r["step"]: r for r in map(json.loads, (folder / "log.jsonl").read_text().splitlines())}
    size = json.loads((folder / "config.json").read_text())["parameters"]
    out = []
    for step in ds["step"].values:
        at = ds.sel(step=step)
        net = {k: float(at[k].sel(module="network")) for k in NETWORK}
        norm = float(np.sqrt(np.nansum(at["norm"].where(at["kind"] == "tensor").values ** 2)))
        out.append(
            {"run": name, "step": float(step), "norm": norm, "parameters": size, **net, **log[int(step)]}
        )
    return out


def claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """E, w and alpha_0 against the score, given step, weight norm and compute."""
    real = [r for r in rows if not r["run"].endswith("_null")]
    step = np.array([r["step"] for r in real])
    known = {
        "step": step,
        "weight norm": np.array([r["norm"] for r in real]),
        "compute": step * np.array([r["parameters"] for r in real]),
    }
    out = []
    for x in NETWORK:
        for y in ("loss", "agreement_acc", "far_agreement_acc"):
            values = (np.array([r[k] for r in real], float) for k in (x, y))
            run = [r["run"] for r in real]
            found = partial_rank_correlation(*values, known, run, np.random.default_rng(0))
            p = found.partial
            line = {"x": x, "y": y, "plain": found.plain, "partial": p.value, "low": p.low, "high": p.high}
            out.append(line | {"null": list(found.null), "p": found.p_value})
    return out


def along_depth(folder: Path) -> dict[str, Any]:
    """Verdicts of `depth`, and geometry beside shuffled tokens and random weights."""
    model, encode = load_model(folder)
    prompts = read_prompts(folder / "prompts.jsonl", encode)[:200]
    ds = depth(model, prompts, seed=0)
    judged = judge_depth(ds, rng=np.random.default_rng(0))
    rng = np.random.default_rng
    geometry = {
        "model": layer_geometry(layer_points(model, prompts, rng(0))),
        "shuffled tokens": layer_geometry(layer_points(model, shuffled_tokens(prompts, rng(1)), rng(0))),
        "random weights": layer_geometry(layer_points(random_weights(model, 0), prompts, rng(0))),
    }
    omega = {s: ds["object_integrity"].sel(stream=s).values.tolist() for s in ds["stream"].values.tolist()}
    omega |= {
        str(c): ds["object_integrity_control"].sel(control=c).values.tolist() for c in ds["control"].values
    }
    rank = ds["residual_effective_rank"].sel(stream="raw").values.tolist()
    verdicts = {j.curve: [str(j.verdict), j.reason] for j in judged}
    return {"verdicts": verdicts, "omega": omega, "effective_rank": rank, "geometry": geometry}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("validation/grammar"))
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    document: dict[str, Any] = {"audit": {}, "depth": {}, "rows": []}
    for name, folder in runs(options.out, options.device).items():
        run = open_run(folder)
        first, last = (audit(run, run.checkpoints[i].step) for i in (0, -1))
        document["audit"][name] = {"first": medians(first), "last": medians(last), "coverage": last.coverage}
        document["rows"] += training_rows(name, folder)
        document["depth"][name] = along_depth(folder)
        print(name, last.coverage, flush=True)
    document["claims"] = claims(document["rows"])
    (options.out / "grammar.json").write_text(json.dumps(clean(document), indent=1) + "\n")
    (ROOT / "docs" / "grammar.md").write_text(page(document))


def page(d: dict[str, Any]) -> str:
    """Tables."""
    text = "---\norphan: true\n---\n\n# Small language models on a grammar: audit and depth\n\n"
    text += (
        "Made by `python -m benchmarks.grammar`; do not edit. What it means: explanation/replications.md.\n"
    )
    last = {r["run"]: r for r in d["rows"]}
    scores = [[k, r["step"], r["loss"], r["agreement_acc"], r["far_agreement_acc"]] for k, r in last.items()]
    text += "\n## Scores\n\n" + markdown(
        ["run", "step", "loss, nats", "agreement", "agreement after a clause"], scores
    )
    text += "\n## Audit: medians over matrices, last checkpoint (its null), first checkpoint\n\n"
    body = [
        [run, *(f"{a['last'][k][0]:.3g} ({a['last'][k][1]:.3g}), {a['first'][k][0]:.3g}" for k in SHOWN)]
        for run, a in d["audit"].items()
    ]
    text += markdown(["run", *SHOWN], body)
    text += "\n## The network of neurons: last checkpoint\n\n"
    text += markdown(["run", *NETWORK], [[k, *(r[n] for n in NETWORK)] for k, r in last.items()])
    text += "\n## E, w and alpha_0 against scores, given step, weight norm and compute\n\n"
    head = ["quantity", "score", "plain", "partial", "90 % interval", "90 % of the null", "p"]
    text += markdown(head, [
        [c["x"], c["y"], c["plain"], c["partial"], f"{c['low']:.2f} to {c['high']:.2f}",
         f"{c['null'][0]:.2f} to {c['null'][1]:.2f}", c["p"]] for c in d["claims"]
    ])  # fmt: skip
    text += "\n## Order along depth\n\n"
    body = [[run, k, _list(v)] for run, x in d["depth"].items() for k, v in x["omega"].items()]
    text += "Omega by layer (0.202 for normal coordinates):\n\n" + markdown(["run", "stream", "Omega"], body)
    body = [[run, k, *v] for run, x in d["depth"].items() for k, v in x["verdicts"].items()]
    text += "\n" + markdown(["run", "curve", "verdict", "reason"], body)
    text += "\n## Geometry by layer\n\n"
    body = [
        [run, name, what, _list(values)]
        for run, x in d["depth"].items()
        for name in ("gride_dimension", "rankme", "anisotropy", "massive_ratio")
        for what, values in ((w, g[name]) for w, g in x["geometry"].items())
    ]
    return text + markdown(["run", "quantity", "of", "layers 0 to L"], body)


def _list(values: list[float]) -> str:
    return ", ".join("none" if not np.isfinite(v) else f"{v:.3g}" for v in values)


if __name__ == "__main__":
    main()
