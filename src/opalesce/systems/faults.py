"""Faults that are planted in a sound run: what published series and logs have been seen to hold.

Each fault takes a folder made by `clean_run` and spoils it in one way; it names the kind of finding that
`check` must give, and the place on the axis. `benchmarks/faults.py` makes the table.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.runs.safetensors import SafetensorsCheckpoint, write
from opalesce.systems import induction

SMALL = induction.Induction(vocab=16, length=24, width=32, heads=2, block_low=4, block_high=8)
STEPS, EVERY = 300, 10  # of training, and between checkpoints
AT = 150.0  # where most faults are planted
TASKS, ITEMS = 8, 1000
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Planted:
    """One kind of fault. `place` is None where it has no place; `finding` is the kind that `check` gives."""

    name: str
    where: str
    finding: str
    place: float | None
    plant: Callable[[Path], None]


def clean_run(folder: Path, seed: int) -> Path:
    """A small `induction` run, trained here, with a clock in its log and evaluations beside it (`[torch]`).

    Evaluations are binomial scores of `TASKS` tasks that rise with the induction score of the run, and their
    log-perplexities with a stated error.
    """
    induction.train(folder, seed=seed, steps=STEPS, every=EVERY, system=SMALL)
    rng = np.random.default_rng([seed, 7])
    rows = rows_of(folder)
    for k, row in enumerate(rows):
        row["_timestamp"] = 1.7e9 + 30.0 * k
    put_rows(folder, rows)
    for row in rows:
        skill = 1 / (1 + np.exp(-8 * (row["induction_score"] - 0.4)))
        results = {}
        for t in range(TASKS):
            p = 0.25 + (0.3 + 0.05 * t) * skill
            acc = rng.binomial(ITEMS, p) / ITEMS
            nats = 4.0 - (1.5 + 0.1 * t) * skill + 0.02 * rng.normal()
            results[f"task{t}"] = {
                "acc": acc, "acc_stderr": float(np.sqrt(acc * (1 - acc) / (ITEMS - 1))),
                "ppl": float(np.exp(nats)), "ppl_stderr": float(0.02 * np.exp(nats)),
            }  # fmt: skip
        document = {"results": results, "config": {"model": "induction"}}
        eval_file(folder, row["step"]).write_text(json.dumps(document))
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Rows of the log that hold a step."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [r for r in found if "step" in r]


def put_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Replace the log."""
    (folder / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def eval_file(folder: Path, step: float) -> Path:
    """Evaluation of a step."""
    return folder / f"eval_step{step:.0f}.json"


def state_file(folder: Path, step: float) -> Path:
    """Checkpoint of a step."""
    return folder / f"step{step:06.0f}.safetensors"


def state(folder: Path, step: float) -> Tensors:
    """All tensors of a step."""
    c = SafetensorsCheckpoint(step, (state_file(folder, step),))
    return {n: np.asarray(c.read(n)) for n in c.tensors()}


def _edit(change: Callable[[Tensors], Tensors], step: float = AT) -> Callable[[Path], None]:
    return lambda folder: void(write(state_file(folder, step), change(state(folder, step))))


def void(_: object) -> None:
    """For functions of which only the effect counts."""


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        file = state_file(folder, AT)
        file.write_bytes(change(file.read_bytes()))

    return plant


def _copy(source: float, target: float, file: Callable[[Path, float], Path]) -> Callable[[Path], None]:
    return lambda folder: void(shutil.copyfile(file(folder, source), file(folder, target)))


def _exchange(a: float, b: float, file: Callable[[Path, float], Path]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        one, two = file(folder, a).read_bytes(), file(folder, b).read_bytes()
        file(folder, a).write_bytes(two)
        file(folder, b).write_bytes(one)

    return plant


def _rotate(folder: Path) -> None:
    """The run from half on, then its beginning, under the old names."""
    steps = [r["step"] for r in rows_of(folder)]
    blobs = [state_file(folder, s).read_bytes() for s in steps]
    half = len(steps) // 2
    for s, blob in zip(steps, blobs[half:] + blobs[:half], strict=True):
        state_file(folder, s).write_bytes(blob)


def _rounded_final(folder: Path) -> None:
    final = state(folder, STEPS)
    write(state_file(folder, AT), {n: w.astype(np.float16).astype(w.dtype) for n, w in final.items()})


def _foreign(folder: Path) -> None:
    """The same entries in other places: a network as large, of another run."""
    rng = np.random.default_rng(99)
    w = state(folder, AT)
    write(state_file(folder, AT), {n: rng.permutation(v.ravel()).reshape(v.shape) for n, v in w.items()})


def _one(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Tensors], Tensors]:
    return lambda w: w | {name: change(w[name].copy())}


def _nan(w: NDArray[Any]) -> NDArray[Any]:
    w.flat[3] = np.nan
    return w


def _clone(folder: Path) -> None:
    """Every square matrix of step 0 is two copies of its first half: two ranks with one seed."""
    w = state(folder, 0)
    halves = {n: np.concatenate([v[: len(v) // 2]] * 2) for n, v in w.items() if v.shape == (32, 32)}
    write(state_file(folder, 0), w | halves)


def _optimizer(folder: Path) -> None:
    for row in rows_of(folder):
        w = state(folder, row["step"])
        write(state_file(folder, row["step"]), {f"exp_avg_sq.{n}": v**2 for n, v in w.items()})


def _shards(folder: Path) -> None:
    """The state in two shards with an index, of which one is not there."""
    w = state(folder, AT)
    names = sorted(w)
    inner = folder / f"step{AT:.0f}"
    inner.mkdir()
    state_file(folder, AT).unlink()
    write(inner / "model-00001-of-00002.safetensors", {n: w[n] for n in names[:4]})
    places = {n: f"model-0000{1 + (i > 3)}-of-00002.safetensors" for i, n in enumerate(names)}
    (inner / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def _config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for row in rows_of(folder):
        w = state(folder, row["step"])
        renamed = {f"model.layers.{i}.self_attn.q_proj.weight": w[f"layer{i}.q.weight"] for i in (0, 1)}
        write(state_file(folder, row["step"]), renamed)
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": 4, "seed": config.get("seed")}))


def _log(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[Path], None]:
    return lambda folder: put_rows(folder, change(rows_of(folder)))


def _resume(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A branch that was thrown away at `AT` and written again from fifty steps before, a little worse."""
    again = [r | {"loss": r["loss"] + 0.3} for r in rows if AT - 50 < r["step"] <= AT]
    return [r for r in rows if r["step"] <= AT] + again + [r for r in rows if r["step"] > AT]


def _backwards(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r | {"_timestamp": r["_timestamp"] - (1e5 if r["step"] >= AT else 0)} for r in rows]


def _cut_line(folder: Path) -> None:
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"step": 310, "lo\n')


def _sampled(folder: Path) -> None:
    """The log as a tracker's history call gives it: 500 points drawn at random of many."""
    rows, rng = rows_of(folder), np.random.default_rng(1)
    x = np.array([r["step"] for r in rows], float)
    fine = np.sort(rng.choice(np.arange(20 * STEPS), 500, replace=False)) / 20
    loss = np.interp(fine, x, [r["loss"] for r in rows]) + 0.01 * rng.normal(size=500)
    put_rows(folder, [{"step": float(s), "loss": float(v)} for s, v in zip(fine, loss, strict=True)])


def _scores(change: Callable[[dict[str, Any]], dict[str, Any]], step: float = AT) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        file = eval_file(folder, step)
        document = json.loads(file.read_text())
        document["results"] = {t: change(m) for t, m in document["results"].items()}
        file.write_text(json.dumps(document))

    return plant


def _second(folder: Path) -> None:
    """Another result file of one step, with other scores."""
    document = json.loads(eval_file(folder, AT).read_text())
    document["results"]["task0"]["acc"] += 0.2
    (folder / f"rerun_step{AT:.0f}.json").write_text(json.dumps(document))


def _without(folder: Path) -> None:
    document = json.loads(eval_file(folder, AT).read_text())
    del document["results"]["task3"]
    eval_file(folder, AT).write_text(json.dumps(document))


def _wild(m: dict[str, Any]) -> dict[str, Any]:
    """Scores of another model at one step: all jump and return."""
    return m | {"acc": min(0.99, m["acc"] + 0.4), "ppl": m["ppl"] * 4}


Q = "layer0.q.weight"
FAULTS: tuple[Planted, ...] = (
    Planted("truncated file", "checkpoint", "bad file", AT, _bytes(lambda b: b[: len(b) // 2])),
    Planted("bytes appended", "checkpoint", "bad file", AT, _bytes(lambda b: b + b"x")),
    Planted("error page instead of a file", "checkpoint", "bad file", AT, _bytes(lambda b: b"<html>404" * 9)),
    Planted("empty file", "checkpoint", "bad file", AT, _bytes(lambda b: b"")),
    Planted("missing shard", "checkpoint", "bad file", AT, _shards),
    Planted("duplicate of another step", "checkpoint", "duplicate checkpoint", AT, _copy(60, AT, state_file)),
    Planted("final state in the middle", "checkpoint", "duplicate checkpoint", AT,
            _copy(STEPS, AT, state_file)),
    Planted("final state, rounded", "checkpoint", "misplaced checkpoint", AT, _rounded_final),
    Planted("state of another run", "checkpoint", "misplaced checkpoint", AT, _foreign),
    Planted("two states exchanged", "checkpoint", "swapped checkpoints", AT, _exchange(AT, 210, state_file)),
    Planted("neighbours exchanged", "checkpoint", "swapped checkpoints", AT, _exchange(AT, 160, state_file)),
    Planted("head and tail exchanged", "checkpoint", "head and tail exchanged", None, _rotate),
    Planted("one NaN", "checkpoint", "non-finite", AT, _edit(_one(Q, _nan))),
    Planted("tensor of zeros", "checkpoint", "all zero", AT, _edit(_one(Q, lambda w: 0 * w))),
    Planted("constant tensor", "checkpoint", "constant", AT, _edit(_one(Q, lambda w: 0 * w + 1))),
    Planted("tensor copied from another", "checkpoint", "duplicate tensor", AT,
            _edit(lambda w: w | {Q: w["layer1.q.weight"]})),
    Planted("changed shape", "checkpoint", "changed shape", AT, _edit(_one(Q, lambda w: w[:-1]))),
    Planted("changed dtype", "checkpoint", "changed dtype", AT,
            _edit(_one(Q, lambda w: w.astype(np.float16)))),
    Planted("lost tensor", "checkpoint", "changed tensors", AT,
            _edit(lambda w: {n: v for n, v in w.items() if n != Q})),
    Planted("missing step", "checkpoint", "missing steps", AT, lambda f: state_file(f, AT).unlink()),
    Planted("wrong step in a name", "checkpoint", "uneven steps", 153.0,
            lambda f: void(state_file(f, AT).rename(state_file(f, 153)))),
    Planted("ranks with one seed", "checkpoint", "cloned slices", 0.0, _clone),
    Planted("optimizer files", "checkpoint", "optimizer state", 0.0, _optimizer),
    Planted("config of another model", "checkpoint", "another model", 0.0, _config),
    Planted("cut line", "log", "malformed line", None, _cut_line),
    Planted("NaN in a curve", "log", "non-finite", AT,
            _log(lambda rows: [r | ({"loss": float("nan")} if r["step"] == AT else {}) for r in rows])),
    Planted("negative loss", "log", "impossible value", AT,
            _log(lambda rows: [r | ({"loss": -r["loss"]} if r["step"] == AT else {}) for r in rows])),
    Planted("resumed log overlaps", "log", "repeated step", AT, _log(_resume)),
    Planted("clock goes backwards", "log", "clock goes backwards", AT, _log(_backwards)),
    Planted("sampled history", "log", "sampled curve", None, _sampled),
    Planted("equal evaluations at two steps", "evals", "duplicate evaluations", AT, _copy(60, AT, eval_file)),
    Planted("evaluations exchanged", "evals", "swapped checkpoints", 60.0, _exchange(60, 250, eval_file)),
    Planted("final evaluations in the middle", "evals", "duplicate evaluations", 60.0,
            _copy(STEPS, 60, eval_file)),
    Planted("scores in percent", "evals", "impossible value", AT,
            _scores(lambda m: m | {"acc": 100 * m["acc"]})),
    Planted("perplexity below 1", "evals", "impossible value", AT, _scores(lambda m: m | {"ppl": 0.5})),
    Planted("standard errors of 0", "evals", "lost standard error", AT,
            _scores(lambda m: m | {"acc_stderr": 0.0})),
    Planted("two files of one step", "evals", "repeated step", AT, _second),
    Planted("a task missing at one step", "evals", "missing steps", AT, _without),
    Planted("scores of another model", "evals", "all curves jump and return", AT, _scores(_wild)),
)  # fmt: skip
