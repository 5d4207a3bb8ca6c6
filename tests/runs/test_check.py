"""Every fault planted, every fault found; a sound run is left in peace."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from opalesce.runs.check import Finding, check
from opalesce.runs.check_pairs import ITEMS, chance_of
from opalesce.runs.open import open
from opalesce.runs.run import Curve, Run
from opalesce.runs.safetensors import SafetensorsCheckpoint, write

from .conftest import State, path_of_states, save


def grave(found: list[Finding]) -> list[Finding]:
    return [f for f in found if f.severity != "note"]


def file(folder: Path, step: int) -> Path:
    return folder / f"step{step}" / "model.safetensors"


def rewrite(folder: Path, step: int, change: Callable[[State], State]) -> None:
    c = SafetensorsCheckpoint(step, (file(folder, step),))
    write(file(folder, step), change({n: c.read(n) for n in c.tensors()}))


@pytest.mark.parametrize("full", [False, True])
def test_a_sound_run_has_no_findings_but_notes(sound: Path, full: bool) -> None:
    found = open(sound).check(full=full)
    assert grave(found) == []
    # norm weights are ones and biases zeros at step 0
    assert {f.kind for f in found} == {"constant", "all zero"}
    assert {f.step for f in found} == {0.0}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
def test_honest_paths_are_in_order(tmp_path: Path, seed: int, noise: float) -> None:
    # a straight path, a random walk with drift, and states that are nearly independent draws
    states = path_of_states(25, seed)
    rng = np.random.default_rng(seed)
    states = [{k: v + rng.normal(0, noise, v.shape).astype("f4") for k, v in s.items()} for s in states]
    assert grave(open(save(tmp_path / "run", states)).check()) == []


def plant(folder: Path, what: str) -> None:
    if what == "truncated":
        file(folder, 300).write_bytes(file(folder, 300).read_bytes()[:-1000])
    elif what == "overlong":
        file(folder, 300).write_bytes(file(folder, 300).read_bytes() + b"x")
    elif what == "header":
        file(folder, 300).write_bytes(b"<html>404</html>" * 4)
    elif what == "empty":
        file(folder, 300).write_bytes(b"")
    elif what == "duplicate":
        shutil.copy(file(folder, 600), file(folder, 300))
    elif what == "final":
        shutil.copy(file(folder, 1200), file(folder, 300))
    elif what == "rounded final":  # the final state in another precision: no byte is equal
        final = SafetensorsCheckpoint(0, (file(folder, 1200),))
        rounded = {n: final.read(n).astype("f2").astype("f4") for n in final.tensors()}
        rewrite(folder, 300, lambda s: rounded)
    elif what == "foreign":
        foreign = path_of_states(13, seed=99)[3]
        rewrite(folder, 300, lambda s: foreign)
    elif what == "swap":
        for a, b in ((300, 900),):
            file(folder, a).rename(folder / "t")
            file(folder, b).rename(file(folder, a))
            (folder / "t").rename(file(folder, b))
    elif what == "neighbours":
        file(folder, 300).rename(folder / "t")
        file(folder, 400).rename(file(folder, 300))
        (folder / "t").rename(file(folder, 400))
    elif what == "nan":
        rewrite(folder, 300, lambda s: s | {"layer.0.weight": put(s["layer.0.weight"], np.nan)})
    elif what == "zero":
        rewrite(folder, 300, lambda s: s | {"layer.0.weight": s["layer.0.weight"] * np.float32(0)})
    elif what == "constant":
        rewrite(folder, 300, lambda s: s | {"layer.0.weight": s["layer.0.weight"] * np.float32(0) + 1})
    elif what == "copied tensor":
        rewrite(folder, 300, lambda s: s | {"layer.0.weight": s["layer.1.weight"]})
    elif what == "shape":
        rewrite(folder, 300, lambda s: s | {"layer.0.weight": s["layer.0.weight"][:-1]})
    elif what == "dtype":
        rewrite(folder, 300, lambda s: s | {"layer.0.weight": s["layer.0.weight"].astype("f2")})
    elif what == "lost tensor":
        rewrite(folder, 300, lambda s: {k: v for k, v in s.items() if k != "layer.0.weight"})
    elif what == "missing":
        shutil.rmtree(folder / "step300")
    elif what == "uneven":
        (folder / "step300").rename(folder / "step337")
    elif what == "bad line":
        with (folder / "log.jsonl").open("a") as log:
            log.write('{"step": 1300, "lo\n')
    elif what == "curve nan":
        with (folder / "log.jsonl").open("a") as log:
            log.write('{"step": 1300, "loss": NaN}\n')
    else:
        raise AssertionError(what)


def put(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.flat[5] = value
    return array


@pytest.mark.parametrize(
    ("what", "kind", "severity", "step", "tensor"),
    [
        ("truncated", "bad file", "fault", 300, ""),
        ("overlong", "bad file", "fault", 300, ""),
        ("header", "bad file", "fault", 300, ""),
        ("empty", "bad file", "fault", 300, ""),
        ("duplicate", "duplicate checkpoint", "fault", 300, ""),
        ("final", "duplicate checkpoint", "fault", 300, ""),
        ("rounded final", "misplaced checkpoint", "fault", 300, ""),
        ("foreign", "misplaced checkpoint", "fault", 300, ""),
        ("swap", "swapped checkpoints", "fault", 300, ""),
        ("neighbours", "swapped checkpoints", "fault", 300, ""),
        ("nan", "non-finite", "fault", 300, "layer.0.weight"),
        ("zero", "all zero", "fault", 300, "layer.0.weight"),
        ("constant", "constant", "fault", 300, "layer.0.weight"),
        ("copied tensor", "duplicate tensor", "fault", 300, "layer.0.weight"),
        ("shape", "changed shape", "fault", 300, "layer.0.weight"),
        ("dtype", "changed dtype", "warning", 300, "layer.0.weight"),
        ("lost tensor", "changed tensors", "fault", 300, "layer.0.weight"),
        ("missing", "missing steps", "warning", 300, ""),
        ("uneven", "uneven steps", "warning", 337, ""),
        ("bad line", "malformed line", "warning", None, ""),
        ("curve nan", "non-finite", "fault", 1300, ""),
    ],
)
def test_a_planted_fault_is_found(
    sound: Path, what: str, kind: str, severity: str, step: float | None, tensor: str
) -> None:
    plant(sound, what)
    found = grave(open(sound).check())
    # copying or wiping most of the weights may also put the state out of its place
    allowed = {kind} | ({"misplaced checkpoint"} if what in ("zero", "constant", "copied tensor") else set())
    assert {f.kind for f in found} <= allowed
    hit = next(f for f in found if f.kind == kind)
    assert (hit.severity, hit.step, hit.tensor) == (severity, step, tensor)
    assert hit.run == "sound"
    assert hit.expected
    assert hit.seen
    assert hit.fix
    assert hit.false_transition
    assert "sound" in hit.file
    if step is not None:
        assert step in hit.x


def test_swap_names_both_steps(sound: Path) -> None:
    plant(sound, "swap")
    (hit,) = grave(open(sound).check())
    assert hit.x == (300.0, 900.0)


def test_final_in_the_middle_is_said(sound: Path) -> None:
    plant(sound, "final")
    (hit,) = grave(open(sound).check())
    assert hit.x == (300.0, 1200.0)
    assert "final checkpoint stands in the middle" in hit.seen


def test_many_faults_at_once_are_all_found(sound: Path) -> None:
    (sound / "step1100" / "model.safetensors").write_bytes(b"broken")
    rewrite(sound, 500, lambda s: s | {"layer.1.weight": put(s["layer.1.weight"], np.inf)})
    shutil.copy(file(sound, 200), file(sound, 800))
    found = grave(open(sound).check())
    assert {(f.kind, f.step) for f in found} == {
        ("bad file", 1100.0),
        ("non-finite", 500.0),
        ("duplicate checkpoint", 800.0),
    }


def test_a_nan_between_the_blocks_needs_full(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "run"
    for i in range(3):
        w = rng.normal(size=20_000).astype("f4")
        if i == 1:
            w[1000] = np.nan
        (folder / f"step{i + 1}").mkdir(parents=True)
        write(file(folder, i + 1), {"w": w})
    assert [f.kind for f in open(folder).check()] == []
    (hit,) = open(folder).check(full=True)
    assert (hit.kind, hit.step, hit.tensor) == ("non-finite", 2.0, "w")
    assert "1 of 20000" in hit.seen


def test_step_0_equal_to_step_1_is_a_note(tmp_path: Path, states: list[State]) -> None:
    folder = save(tmp_path / "run", states[:1] + states, every=1)
    (hit,) = [f for f in open(folder).check() if "step 1" in f.kind]
    assert (hit.kind, hit.severity, hit.x) == ("step 0 equals step 1", "note", (0.0, 1.0))


def test_tied_and_buffer_tensors_are_no_fault(tmp_path: Path, states: list[State]) -> None:
    freq = np.linspace(1, 2, 32, dtype="f4")
    extra = [
        s | {"lm_head.weight": s["embed.weight"], "a.inv_freq": freq, "b.inv_freq": freq} for s in states
    ]
    found = open(save(tmp_path / "run", extra)).check()
    assert grave(found) == []
    zeros = [s | {f"b{i}.weight": np.zeros((8, 8), "f4") for i in (1, 2)} for s in states[:1]]
    young = open(save(tmp_path / "young", zeros)).check()
    assert not [f for f in young if f.kind == "duplicate tensor"]  # equal because constant
    (tied,) = [f for f in found if f.kind == "duplicate tensor"]
    assert len(tied.x) == len(states)


def test_checkpoints_of_two_runs(tmp_path: Path, states: list[State]) -> None:
    a = open(save(tmp_path / "a", states))
    twin = open(save(tmp_path / "twin", states[:1] + path_of_states(13, 7)[1:]))
    thief = open(save(tmp_path / "thief", path_of_states(13, 8)[:6] + states[6:]))
    (note,) = [f for f in check(a, twin) if "a and twin" in f.run]
    assert (note.kind, note.severity) == ("same initialisation", "note")
    hits = [f for f in check(a, thief) if "a and thief" in f.run and f.kind == "checkpoints in two runs"]
    assert hits[0].x == tuple(100.0 * i for i in range(6, 13))


# --- curves and evaluations -----------------------------------------------------------------------


def curve(folder: Path, name: str, values: np.ndarray, every: int = 10) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    rows = [json.dumps({"step": i * every, "loss": float(v), "lr": 1e-3}) for i, v in enumerate(values)]
    path.write_text("\n".join(rows))
    return path


def test_single_curves_of_two_runs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trend = np.linspace(4, 2, 200)
    a, b, c = (np.round(trend + rng.normal(0, 0.05, 200), 3) for _ in range(3))
    c[:100] = a[:100]  # the first half was copied
    runs = [open(curve(tmp_path, n, y)) for n, y in (("a", a), ("b", b), ("c", c))]
    assert check(runs[0], runs[1]) == []
    (hit,) = check(runs[0], runs[2])
    assert (hit.kind, hit.severity) == ("curves too often equal", "fault")
    assert set(range(0, 1000, 10)) <= set(hit.x)
    assert "by chance" in hit.expected


def test_saturated_and_constant_curves_are_honest(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    runs = []
    for k in range(2):
        y = np.ones(300)
        y[:20] = np.round(rng.random(20), 2)
        runs.append(open(curve(tmp_path, f"r{k}", y)))
    assert check(*runs) == []


def many_tasks(seed: int, constant: np.ndarray, loss: np.ndarray) -> Run:
    """60 tasks of 1000 items: constant answers in steps 0 to 9, its own answers from 10 on."""
    rng = np.random.default_rng(seed)
    x = np.arange(20.0)
    curves = {}
    for k in range(60):
        y = rng.binomial(1000, 0.3 + 0.02 * x, 20) / 1000
        y[:10] = constant[k]
        curves[f"t{k}/acc"] = Curve(f"t{k}/acc", x, y, None, "complete", "evals", False, n_trials=1000)
        curves[f"t{k}/nll"] = Curve(
            f"t{k}/nll", x, loss[k] + 0.01 * rng.normal(size=20), None, "complete", "evals"
        )
    return Run(f"m{seed}", curves=curves)


def test_constant_answers_are_not_agreement() -> None:
    rng = np.random.default_rng(0)
    constant = rng.integers(200, 300, 60) / 1000
    a, b = (many_tasks(s, constant, np.linspace(3, 2, 20) * np.ones((60, 1))) for s in (1, 2))
    answers = [Run(r.name, curves={n: c for n, c in r.curves.items() if c.n_trials}) for r in (a, b)]
    assert [f for f in check(*answers) if " and " in f.run] == []
    assert [f for f in check(a, b) if " and " in f.run] == []
    # the same accuracies with equal losses are one run under two names
    stolen = {n: (a.curves[n] if n.endswith("nll") else c) for n, c in b.curves.items()}
    hits = [f for f in check(a, Run("copy", curves=stolen)) if " and " in f.run]
    assert {f.x[:10] for f in hits if "beyond" in f.kind} == {tuple(float(i) for i in range(10))}


def test_chance_of_equal_counts() -> None:
    # closed form: two independent Bin(n, p) coincide with probability sum_k Bin(k; n, p)^2
    n, p = 400, 0.3
    exact = float(np.sum(binom.pmf(np.arange(n + 1), n, p) ** 2))
    y = np.array([0.3, 0.31, 0.29, 0.0, 1.0])
    q = chance_of(Curve("a", np.arange(5.0), y, continuous=False, n_trials=n))
    assert q[0] == pytest.approx(ITEMS * exact, rel=0.01)
    assert q[3] == q[4] == 1  # a metric at its bound tells nothing
    row = np.array([0.2, 0.25, 0.25, 0.25, 0.3, 0.3, 0.35, 0.36])
    q = chance_of(Curve("a", np.arange(8.0), row, continuous=False, n_trials=n))
    assert (q == 1).tolist() == [False, True, True, True, False, False, False, False]
    assert q[4] == pytest.approx(1 / 7)  # recurs once among seven others


@pytest.mark.parametrize("model", ["70m", "160m", "410m", "1.4b", "2.8b", "1b-deduped", "2.8b-deduped"])
def test_published_evaluations_are_sound(data: Path, model: str) -> None:
    found = check(open(data / "pythia_evals" / f"pythia-{model}"))
    # learning rate 0 at step 1: true of every published Pythia model
    assert [(f.kind, f.severity, f.x) for f in found] == [("step 0 equals step 1", "note", (0.0, 1.0))]


def test_published_pair_that_is_one_run(data: Path) -> None:
    a, b = (open(data / "pythia_evals" / f"pythia-2.8b{s}") for s in ("", "-deduped"))
    whole, partly = [f for f in check(a, b) if " and " in f.run]
    powers = tuple(float(2**i) for i in range(10))
    assert whole.x == (0.0, *powers, 1000.0)
    assert whole.seen.startswith("all 172 values")
    # 61-75 % of the 172 metrics, from 3000 to 43000
    assert partly.x == (3000.0, 13_000.0, 23_000.0, 33_000.0, 43_000.0)
    assert partly.seen.startswith("61-75 %")
    for f in (whole, partly):
        assert f.severity == "fault"
        assert "p at most" in f.expected


def test_honest_published_pairs_agree_by_chance_only(data: Path) -> None:
    folders = sorted(p for p in (data / "pythia_evals").iterdir() if p.is_dir())
    runs = [open(p) for p in folders]
    assert len(runs) == 7
    found = check(*runs)
    assert {f.run for f in found if " and " in f.run} == {"pythia-2.8b and pythia-2.8b-deduped"}
    assert len(list(combinations(runs, 2))) == 21


def evals(data: Path, tmp_path: Path, model: str, moves: dict[int, int], jitter: float = 0.0) -> Path:
    """Published evaluations in which the results of step `moves[s]` stand at step s."""
    rng = np.random.default_rng(0)
    out = tmp_path / model
    out.mkdir()
    folder = data / "pythia_evals" / f"pythia-{model}"
    for path in folder.glob("*.json"):
        step = int(path.stem.split("step")[1])
        source = moves.get(step, step)
        content = json.loads((folder / f"{model}_step{source}.json").read_text())
        content["config"]["model_args"] = f"pretrained=x,revision=step{step}"
        if jitter and step in moves:
            for metrics in content["results"].values():
                for key in metrics:
                    if not key.endswith("_stderr"):
                        metrics[key] += jitter * rng.normal() * metrics.get(f"{key}_stderr", 0)
        (out / path.name).write_text(json.dumps(content))
    return out


@pytest.mark.parametrize("model", ["160m", "1.4b"])
@pytest.mark.parametrize("step", [1000, 33_000, 83_000])
@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_final_evaluation_in_the_middle(
    data: Path, tmp_path: Path, model: str, step: int, jitter: float
) -> None:
    found = grave(check(open(evals(data, tmp_path, model, {step: 143_000}, jitter))))
    assert [(f.kind, f.step) for f in found] == [
        ("misplaced checkpoint" if jitter else "duplicate evaluations", float(step))
    ]
    assert "final checkpoint stands in the middle" in found[0].seen


@pytest.mark.parametrize("model", ["70m", "2.8b"])
@pytest.mark.parametrize("pair", [(512, 3000), (1000, 13_000), (3000, 13_000), (1000, 43_000)])
def test_swapped_evaluations(data: Path, tmp_path: Path, model: str, pair: tuple[int, int]) -> None:
    a, b = pair
    found = grave(check(open(evals(data, tmp_path, model, {a: b, b: a}))))
    assert [(f.kind, f.x) for f in found] == [("swapped checkpoints", (float(a), float(b)))]


def test_findings_are_sorted_and_print(sound: Path) -> None:
    plant(sound, "missing")
    plant(sound, "bad line")
    rewrite(sound, 500, lambda s: s | {"layer.1.weight": put(s["layer.1.weight"], np.inf)})
    found = open(sound).check()
    ranks = [("fault", "warning", "note").index(f.severity) for f in found]
    assert ranks == sorted(ranks)
    text = str(found[0])
    for word in ("fault: sound: non-finite", "layer.1.weight", "step 500", "seen:", "expected:", "do:"):
        assert word in text
