"""measure: values, statuses, resuming, sharing, killing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from opalesce.errors import InputError, StoreError
from opalesce.measure import aggregate, measure
from opalesce.measure.plan import plan
from opalesce.measure.store import Result, Store
from opalesce.observables import registry
from opalesce.observables.circuits import Circuit, token_match
from opalesce.observables.registry import REGISTRY, observable
from opalesce.observables.spectra import spectrum, stable_rank
from opalesce.runs.open import open as open_run
from opalesce.runs.safetensors import write
from opalesce.systems.induction import Induction

SMALL = Induction(vocab=10, length=12, width=16, heads=2, block_low=3, block_high=5)
WEIGHTS = ["stable_rank", "norm", "distance_from_previous", "distance_from_initialisation", "token_match"]


def make_run(folder: Path, steps: int = 5, system: Induction = SMALL) -> Path:
    """Checkpoints of a random walk with a log beside them: no torch, no training."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(4)
    w = system.init(rng)
    config = {"system": "induction", "heads": system.heads, "events": []}
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "log.jsonl").open("w") as log:
        for step in range(0, 10 * steps, 10):
            write(folder / f"step{step:06d}.safetensors", w)
            log.write(json.dumps({"step": step, "loss": 4.0 - step / 100, "loss_stderr": 0.01}) + "\n")
            w = {
                k: (v + 0.05 * rng.standard_normal(v.shape).astype(np.float32)).astype(np.float32)
                for k, v in w.items()
            }
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def same(a: xr.Dataset, b: xr.Dataset) -> bool:
    return a.drop_attrs().identical(b.drop_attrs())


def files(store: Path) -> dict[str, tuple[int, int]]:
    """Path, inode and modification time of each result file."""
    found = {}
    for p in sorted(store.rglob("*.json")):
        stat = p.stat()
        found[str(p.relative_to(store))] = (stat.st_ino, stat.st_mtime_ns)
    return found


def test_values_are_the_plain_functions(folder: Path):
    run = open_run(folder)
    ds = measure(run, [*WEIGHTS, "loss"])
    c = run.checkpoint(20)
    q, k = c.read("layer0.q.weight"), c.read("layer0.k.weight")
    at = ds.sel(step=20)
    assert float(at["stable_rank"].sel(module="layer0.q.weight")) == stable_rank(spectrum(q))
    assert float(at["stable_rank"].sel(module="layer0.qk")) == stable_rank(spectrum(np.vstack([q, k])))
    before, first = (run.checkpoint(s).read("layer0.q.weight") for s in (10, 0))
    moved = at.sel(module="layer0.q.weight")
    assert float(moved["distance_from_previous"]) == pytest.approx(np.linalg.norm(q - before), rel=1e-6)
    assert float(moved["distance_from_initialisation"]) == pytest.approx(np.linalg.norm(q - first), rel=1e-6)
    assert ds["loss"].dims == ("step",)
    assert float(at["loss"]) == pytest.approx(3.8)
    assert float(at["loss_stderr"]) == 0.01
    assert isinstance(ds.to_dataframe(), pd.DataFrame)


def test_circuit_view_splits_heads_as_the_model_does(folder: Path):
    ds = measure(open_run(folder), ["token_match"])
    t = {n: open_run(folder).checkpoint(10).read(n) for n in SMALL.shapes()}
    dh = SMALL.width // SMALL.heads

    def head(m: str, layer: int, h: int) -> np.ndarray:  # stored (out, in): head h owns rows of q, k, v
        return t[f"layer{layer}.{m}.weight"][h * dh : (h + 1) * dh].T

    grid = {m: np.array([[head(m, i, h) for h in range(2)] for i in range(2)]) for m in "qkv"}
    o = np.array([[t[f"layer{i}.o.weight"][:, h * dh : (h + 1) * dh].T for h in range(2)] for i in range(2)])
    expected = token_match(Circuit(t["embed.weight"], grid["q"], grid["k"], grid["v"], o))
    got = float(ds["token_match"].sel(step=10, module="model"))
    assert got == expected


def test_units_sources_and_statuses(folder: Path):
    ds = measure(open_run(folder), WEIGHTS)
    assert ds["norm"].attrs["units"] == "weight"
    assert ds["stable_rank"].attrs["source"].startswith("rudelson2007sampling")
    assert set(ds["kind"].values) == {"tensor", "group", "model"}
    ok = ds["norm_status"].sel(module="embed.weight").values
    assert (ok == "").all()
    assert "view" in str(ds["norm_status"].sel(module="model").values[0])
    first = ds["distance_from_previous_status"].sel(module="embed.weight").values
    assert "not defined" in str(first[0])
    assert (first[1:] == "").all()
    assert json.loads(ds.attrs["provenance"])["versions"]["numpy"]


def test_default_takes_all_that_applies(folder: Path):
    ds = measure(folder)
    views = {"weight", "singular_values", "weight_pair", "circuit"}
    wanted = {o.name for o in registry.load().values() if o.on in views}
    assert wanted | {"loss"} <= set(map(str, ds.data_vars))


def test_a_store_that_cannot_be_made_stops_everything(folder: Path, tmp_path: Path):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "deep")
    with pytest.raises(StoreError, match="cannot be made"):
        measure(folder, ["norm"], out=tmp_path / "dangling")


def test_unknown_and_impossible_names(folder: Path):
    run = open_run(folder)
    with pytest.raises(InputError, match="stable_rank"):
        measure(run, ["stable_rnk"])
    with pytest.raises(InputError, match="attention"):
        measure(run, ["induction_score"])
    with pytest.raises(InputError, match="one string"):
        measure(run, "loss")
    with pytest.raises(InputError, match="shard"):
        measure(run, ["norm"], out=folder / "s", shard=(2, 2))
    with pytest.raises(InputError, match="store"):
        measure(run, ["norm"], shard=(0, 2))


def test_a_store_changes_nothing_and_is_used(folder: Path, tmp_path: Path):
    run = open_run(folder)
    plain, stored = measure(run, WEIGHTS), measure(run, WEIGHTS, out=tmp_path / "store")
    before = files(tmp_path / "store")
    assert same(plain, stored)
    assert len(before) == 5 * 14
    assert same(plain, measure(run, WEIGHTS, out=tmp_path / "store"))
    assert files(tmp_path / "store") == before


def test_asking_for_more_computes_only_that(folder: Path, tmp_path: Path):
    store, run = tmp_path / "store", open_run(folder)
    measure(run, ["norm"], out=store)
    before = files(store)
    measure(run, ["norm", "gini"], out=store)
    after = files(store)
    assert {k: after[k] for k in before} == before
    added = [json.loads((store / k).read_text()) for k in after if k not in before]
    assert {e["observable"] for d in added for e in d["results"].values()} == {"gini"}


def test_a_changed_checkpoint_is_measured_again(folder: Path, tmp_path: Path):
    store = tmp_path / "store"
    measure(open_run(folder), ["norm"], out=store)
    before = files(store)
    path = folder / "step000020.safetensors"
    w = {n: open_run(folder).checkpoint(20).read(n) * 2 for n in SMALL.shapes()}
    write(path, w)
    ds = measure(open_run(folder), ["norm"], out=store)
    assert float(ds["norm"].sel(step=20, module="embed.weight")) == pytest.approx(
        np.linalg.norm(w["embed.weight"]), rel=1e-6
    )
    assert len(files(store)) == len(before) + 13


def test_a_changed_past_changes_the_distances(folder: Path, tmp_path: Path):
    store, names = tmp_path / "store", ["distance_from_previous", "distance_from_initialisation"]
    measure(open_run(folder), names, out=store)
    w = {n: open_run(folder).checkpoint(0).read(n) * 3 for n in SMALL.shapes()}
    write(folder / "step000000.safetensors", w)
    run = open_run(folder)
    assert same(measure(run, names, out=store), measure(run, names))


def test_a_torn_result_file_is_computed_again(folder: Path, tmp_path: Path):
    run, store = open_run(folder), tmp_path / "store"
    good = measure(run, ["norm"], out=store)
    for path in list(store.rglob("*.json"))[:3]:
        path.write_text(path.read_text()[:40])
    assert same(good, measure(run, ["norm"], out=store))
    assert all(json.loads(p.read_text()) for p in store.rglob("*.json"))


def test_one_bad_tensor_is_a_status_and_leaves_the_mean(folder: Path):
    path = folder / "step000020.safetensors"
    w = {n: open_run(folder).checkpoint(20).read(n) for n in SMALL.shapes()}
    w["layer1.q.weight"][0, 0] = np.nan
    write(path, w)
    ds = measure(open_run(folder), ["stable_rank", "norm"])
    status = str(ds["norm_status"].sel(step=20, module="layer1.q.weight").values)
    assert "NaN" in status
    assert "check" in status
    assert str(ds["norm_status"].sel(step=20, module="layer0.q.weight").values) == ""
    curve = aggregate(ds, "norm")
    assert 20 not in curve.x
    assert len(curve.x) == 4
    assert len(aggregate(ds, "norm", "layer0.*").x) == 5
    with pytest.raises(InputError, match="NaN"):
        measure(open_run(folder), ["norm"], throw=True)


def test_one_bad_file_is_survived(folder: Path):
    path = folder / "step000020.safetensors"
    path.write_bytes(path.read_bytes()[:2000])
    run = open_run(folder)
    ds = measure(run, ["norm", "loss"])
    at = ds.sel(step=20)
    assert np.isnan(at["norm"]).all()
    assert all(str(s) for s in at["norm_status"].values)
    assert np.isfinite(ds["norm"].sel(step=[0, 10, 30, 40], module="embed.weight")).all()
    assert float(at["loss"]) == pytest.approx(3.8)


def test_a_failing_observable_is_a_status(folder: Path):
    def broken(w: np.ndarray) -> float:
        """Always fails."""
        raise ZeroDivisionError("by zero")

    observable(on="weight", unit="1", null="twin", source="golub2013matrix")(broken)
    try:
        ds = measure(open_run(folder), ["broken", "norm"])
        assert str(ds["broken_status"].values[0, 0]) == "ZeroDivisionError: by zero"
        assert np.isfinite(ds["norm"].sel(module="embed.weight")).all()
        with pytest.raises(ZeroDivisionError):
            measure(open_run(folder), ["broken"], throw=True)
    finally:
        del REGISTRY["broken"]


def test_random_and_vector_observables(folder: Path):
    def drawn(w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Three random numbers."""
        return rng.random(3)

    observable(on="weight", unit="1", null="twin", source="golub2013matrix", dim="draw")(drawn)
    try:
        a, b = measure(open_run(folder), ["drawn"]), measure(open_run(folder), ["drawn"])
    finally:
        del REGISTRY["drawn"]
    assert a["drawn"].dims == ("step", "module", "draw")
    values = a["drawn"].values[:, :-1]
    assert np.array_equal(values, b["drawn"].values[:, :-1])  # seeded by the cell, not by the clock
    assert len(np.unique(values)) == values.size  # and no two cells share their numbers
    with pytest.raises(InputError, match="one number"):
        aggregate(a, "drawn")


def test_shards_meet_in_a_store(folder: Path, tmp_path: Path):
    run, store = open_run(folder), tmp_path / "store"
    half = measure(run, WEIGHTS, out=store, shard=(0, 2))
    waiting = half["norm_status"].sel(step=10, module="embed.weight")
    assert "another shard" in str(waiting.values)
    assert np.isfinite(half["norm"].sel(step=20, module="embed.weight"))
    whole = measure(run, WEIGHTS, out=store, shard=(1, 2))
    assert same(whole, measure(run, WEIGHTS))


def test_workers_give_the_same_bits(folder: Path):
    run = open_run(folder)
    assert same(measure(run, WEIGHTS), measure(run, WEIGHTS, n_jobs=2, engine="threading"))
    assert same(measure(run, WEIGHTS), measure(run, WEIGHTS, n_jobs=2))


def test_progress_is_told(folder: Path):
    seen: list[tuple[int, int]] = []
    measure(open_run(folder), ["norm"], progress=lambda i, n: seen.append((i, n)))
    assert seen == [(i, 5) for i in range(1, 6)]


def test_only_curves(folder: Path):
    ds = measure(open_run(folder), ["loss"])
    assert set(ds.data_vars) == {"loss", "loss_stderr"}
    assert "module" not in ds.dims
    curve = aggregate(ds, "loss")
    assert curve.stderr is not None
    assert curve.y[0] == 4.0


def test_aggregate_patterns(folder: Path):
    run = open_run(folder)
    ds = measure(run, ["stable_rank", "token_match"])
    qk = aggregate(ds, "stable_rank", "*.qk")
    two = ds["stable_rank"].sel(module=["layer0.qk", "layer1.qk"]).mean("module").values
    assert qk.y == pytest.approx(two)
    assert qk.name == "stable_rank[*.qk]"
    assert qk.lineage == "weights"
    tensors = ds["stable_rank"].values[:, ds["kind"].values == "tensor"].mean(axis=1)
    assert aggregate(ds, "stable_rank").y == pytest.approx(tensors)
    assert len(aggregate(ds, "token_match").x) == 5
    with pytest.raises(InputError, match="matches"):
        aggregate(ds, "stable_rank", "nothing*")
    with pytest.raises(InputError, match="not measured"):
        aggregate(ds, "norm")


def test_groups_are_found_by_common_names(folder: Path):
    p = plan(open_run(folder), ["norm"])
    groups = {m.name: m.tensors for m in p.modules if m.kind == "group"}
    assert groups["layer1.qk"] == ("layer1.q.weight", "layer1.k.weight")
    assert len(groups) == 2


def test_a_run_without_anything(tmp_path: Path):
    run = open_run(pd.DataFrame({"step": [1.0, 2.0], "loss": [1.0, 0.5]}))
    assert measure(run)["loss"].values.tolist() == [1.0, 0.5]
    with pytest.raises(InputError, match="view"):
        measure(run, ["norm"])


# ---- kill -9, and three processes at once ---------------------------------------------------------

SCRIPT = """
import sys
from opalesce.measure import measure
from opalesce.runs.open import open as open_run
measure(open_run(sys.argv[1]), ["stable_rank", "gini", "weibull_shape"], out=sys.argv[2])
"""
HEAVY = Induction(vocab=200, length=100, width=160, heads=4)


def start(run: Path, store: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(run), str(store)], env=env)


def test_kill_minus_nine_then_rerun(tmp_path: Path):
    run, store = make_run(tmp_path / "run", steps=20, system=HEAVY), tmp_path / "store"
    total = 20 * 13
    process = start(run, store)
    deadline = time.monotonic() + 60
    while len(files(store)) < 20 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = files(store)
    assert 20 <= len(before) < total - 1, "the kill came too late to test anything"

    names = ["stable_rank", "gini", "weibull_shape"]
    resumed = measure(open_run(run), names, out=store)
    after = files(store)
    assert len(after) == total
    assert {k: after[k] for k in before} == before  # finished cells: same inode, same time
    assert same(resumed, measure(open_run(run), names))


@pytest.mark.validate
def test_fifty_kills_at_random_moments_lose_nothing(tmp_path: Path):
    """Each sweep is killed at a moment drawn over the time in which it writes, then finished."""
    run = make_run(tmp_path / "run", steps=12, system=HEAVY)
    names = ["stable_rank", "gini", "weibull_shape"]
    whole = measure(open_run(run), names)
    assert start(run, tmp_path / "timing").wait() == 0
    times = [t for _, t in files(tmp_path / "timing").values()]
    writing = (max(times) - min(times)) / 1e9
    rng, caught = np.random.default_rng(0), []
    for kill in range(50):
        store = tmp_path / f"store{kill}"
        process = start(run, store)
        while not files(store) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 1.0) * writing)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = files(store)
        for path in before:
            assert json.loads((store / path).read_text())["results"]  # no corrupt cell
        assert same(measure(open_run(run), names, out=store), whole)
        after = files(store)
        assert {k: after[k] for k in before} == before  # nothing lost, nothing done twice
        caught.append(0 < len(before) < len(after))
    # most kills must come while cells are being written, else this tests nothing
    assert np.mean(caught) > 0.5


def test_three_uncoordinated_processes_share_a_store(tmp_path: Path):
    run, store = make_run(tmp_path / "run", steps=4, system=HEAVY), tmp_path / "store"
    processes = [start(run, store) for _ in range(3)]
    assert [p.wait(timeout=120) for p in processes] == [0, 0, 0]
    assert len(files(store)) == 4 * 13
    assert not list(store.rglob("*.tmp"))
    before = files(store)
    names = ["stable_rank", "gini", "weibull_shape"]
    assert same(measure(open_run(run), names, out=store), measure(open_run(run), names))
    assert files(store) == before


def test_store_keeps_nan_and_every_bit(tmp_path: Path):
    store = Store(tmp_path)
    keys = {"a": "ka", "b": "kb", "c": "kc"}
    results = {"a": Result(0.1 + 0.2), "b": Result(float("nan"), "why"), "c": Result((1.0, float("nan")))}
    store.write(store.path("f", "m", keys), "m", 1.0, keys, results, {})
    got = store.read("f", "m")
    assert got["ka"].value == 0.1 + 0.2
    assert np.isnan(got["kb"].value)
    assert got["kb"].status == "why"
    assert got["kc"].value[0] == 1.0
    assert np.isnan(got["kc"].value[1])
    assert store.read("f", "another") == {}
