"""Does order along depth go with multi-step reasoning? Four sizes and a twin of the `hops` system, judged.

`python -m benchmarks.hops --out validation/hops [--device cuda]` trains what is not there yet (on two CPU
cores about an hour; on one GPU six minutes) and writes `hops.json` and `docs/hops.md`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import markdown
from opalesce import measure
from opalesce.measure.depth import depth
from opalesce.measure.models import load_model, read_prompts
from opalesce.report.clean import clean
from opalesce.systems.hops import SIZES, Hops
from opalesce.systems.hops_order import HopsOrder, hops_order
from opalesce.systems.lm import Training, train
from opalesce.systems.once import once
from opalesce.transitions.critical_depth import critical_depth
from opalesce.transitions.depth_verdict import judge_depth
from opalesce.transitions.partial import partial_rank_correlation

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = ("integrity_step", "rank_fall", "lifetime")
WEIGHTS = (
    "multifractal_emergence",
    "multifractal_width",
    "multifractal_alpha0",
    "paper_emergence",
    "paper_alpha0",
)


def training(size: str, device: str) -> Training:
    """Settings per size: batches of 512 on a GPU, of 64 on a CPU."""
    rate = 1e-3 if size in ("large", "deep") else 2e-3
    if device == "cpu":
        return Training(steps=12_000, batch=64, learning_rate=rate, warmup=500, held_out=2048)
    return Training(steps=15_000, batch=512, learning_rate=rate, warmup=500, held_out=2048)


def runs(home: Path, device: str) -> dict[str, Path]:
    """Folders of the sizes and of the medium twin, trained where missing."""
    corpus, out = Hops(), {}
    for name in (*SIZES, "medium_null"):
        size, null = name.removesuffix("_null"), name.endswith("_null")

        def make(folder: Path, size: str = size, null: bool = null) -> None:
            train(folder, corpus, corpus.sizes(*SIZES[size]), training(size, device), 1, null, device)

        once(home / name, make)
        out[name] = home / name
    return out


def row(name: str, o: HopsOrder, weights: dict[str, float]) -> dict[str, Any]:
    """One checkpoint as one line of the table."""
    size = float(o.log["loss"]) if "loss" in o.log else float("nan")
    return {
        "run": name,
        "step": o.step,
        "loss": size,
        "norm": o.norm,
        "integrity": o.integrity.mean(axis=0).tolist(),
        "effective_rank": o.effective_rank.tolist(),
        "readable": np.diag(o.transfer).tolist(),
        "integrity_step": o.integrity_step,
        "rank_fall": o.rank_fall,
        "lifetime": o.lifetime,
        **{k: o.log[k] for k in o.log if k.startswith("hop")},
        **weights,
    }


def weights_of(folder: Path) -> dict[float, dict[str, float]]:
    """Network-level multifractal numbers of every checkpoint."""
    ds = measure(folder, list(WEIGHTS))
    at = ds.sel(module="network")
    return {
        float(s): {w: float(at[w].sel(step=s)) for w in WEIGHTS} for s in ds["step"].values if s in at["step"]
    }


def claims(rows: list[dict[str, Any]], parameters: dict[str, int]) -> list[dict[str, Any]]:
    """Partial rank correlation of each structural number with the log probability of each answer."""
    real = [r for r in rows if not r["run"].endswith("_null")]
    run = [r["run"] for r in real]
    step = np.array([r["step"] for r in real])
    known = {
        "step": step,
        "weight norm": np.array([r["norm"] for r in real]),
        "compute": step * np.array([parameters[r] for r in run]),
    }
    out = []
    for name in (*CLAIMS, *WEIGHTS):
        for hop in range(1, 5):
            x = np.array([r[name] for r in real], float)
            y = np.array([r[f"hop{hop}_logp"] for r in real])
            found = partial_rank_correlation(x, y, known, run, np.random.default_rng(hop))
            p = found.partial
            line = {"x": name, "hop": hop, "plain": found.plain, "partial": p.value, "n": p.n}
            line |= {"low": p.low, "high": p.high, "p": found.p_value}
            out.append(line | {"null_low": found.null[0], "null_high": found.null[1]})
    return out


def along_depth(name: str, o: HopsOrder) -> dict[str, Any]:
    """Verdict on a critical depth of Omega at the last checkpoint."""
    found = critical_depth(o.integrity, rng=np.random.default_rng(0))
    return {
        "run": name,
        "verdict": found.verdict,
        "reason": found.reason,
        "place": found.place.value,
        "low": found.place.low,
        "high": found.place.high,
    }


def all_tokens(name: str, folder: Path) -> list[list[str]]:
    """Verdicts of `opalesce depth` on all tokens of 300 prompts, with its controls."""
    model, encode = load_model(folder)
    prompts = read_prompts(folder / "prompts.jsonl", encode)[:300]
    judged = judge_depth(depth(model, prompts), rng=np.random.default_rng(0))
    out = []
    for j in judged:
        place = "none" if j.found is None or j.verdict != "TRANSITION" else str(j.found.place)
        out.append([name, j.curve, str(j.verdict), place, j.reason])
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("validation/hops"))
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    rows, verdicts, wide, parameters = [], [], [], {}
    for name, folder in runs(options.out, options.device).items():
        found, weights = hops_order(folder), weights_of(folder)
        parameters[name] = json.loads((folder / "config.json").read_text())["parameters"]
        rows += [row(name, o, weights[o.step]) for o in found]
        verdicts.append(along_depth(name, found[-1]))
        wide += all_tokens(name, folder)
        print(name, verdicts[-1], flush=True)
    tested = claims(rows, parameters)
    document = {"rows": rows, "claims": tested, "verdicts": verdicts, "depth": wide, "parameters": parameters}
    (options.out / "hops.json").write_text(json.dumps(clean(document), indent=1) + "\n")
    (ROOT / "docs" / "hops.md").write_text(page(rows, tested, verdicts, wide))


def page(
    rows: list[dict[str, Any]],
    tested: list[dict[str, Any]],
    verdicts: list[dict[str, Any]],
    wide: list[list[str]],
) -> str:
    """Tables of the page."""
    text = "---\norphan: true\n---\n\n# Order along depth and k-hop reasoning\n\n"
    text += (
        "Made by `python -m benchmarks.hops`; do not edit. What it means: explanation/replications.md.\n\n"
    )
    text += "## Last checkpoints\n\n" + _last({r["run"]: r for r in rows})
    text += "\n## Critical depth of Omega at the question\n\n"
    text += markdown(
        ["run", "verdict", "place", "reason"],
        [[v["run"], str(v["verdict"]), _span(v), v["reason"]] for v in verdicts],
    )
    text += "\n## Order along depth, all tokens\n\n"
    text += markdown(["run", "curve", "verdict", "critical depth", "reason"], wide)
    text += "\n## Given step, weight norm and compute\n\nRank correlation with the log probability of the "
    text += "answer, four sizes together; null: circular shifts within runs.\n\n"
    head = ["quantity", "hops", "plain", "partial", "90 % interval", "90 % of the null", "p"]
    body = []
    for t in tested:
        span, null = f"{t['low']:.2f} to {t['high']:.2f}", f"{t['null_low']:.2f} to {t['null_high']:.2f}"
        body.append(
            [t["x"], str(t["hop"]), _two(t["plain"]), _two(t["partial"]), span, null, f"{t['p']:.3f}"]
        )
    return text + markdown(head, body)


def _last(last: dict[str, dict[str, Any]]) -> str:
    head = ["run", "step", "1-hop", "2-hop", "3-hop", "4-hop", "Omega along depth", "largest step"]
    head += ["fall of effective rank", "lifetime", "answer readable along depth"]
    body = []
    for name, r in last.items():
        right = [_two(r[f"hop{h}_acc"]) for h in range(1, 5)]
        order = [_list(r["integrity"]), f"{r['integrity_step']:.3f}", _two(r["rank_fall"])]
        body.append([name, f"{r['step']:g}", *right, *order, str(r["lifetime"]), _list(r["readable"], 2)])
    return markdown(head, body)


def _two(x: float) -> str:
    return f"{x:.2f}"


def _list(values: list[float], digits: int = 3) -> str:
    return ", ".join(f"{v:.{digits}f}" for v in values)


def _span(v: dict[str, Any]) -> str:
    if v["verdict"] != "TRANSITION":
        return "none"
    return f"{v['place']:.2f} [{v['low']:.2f}, {v['high']:.2f}]" if np.isfinite(v["place"]) else "none"


if __name__ == "__main__":
    main()
