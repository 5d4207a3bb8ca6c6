"""Engines: one answer whoever computes it, and a dead worker that costs its own cell only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from opalesce.errors import InputError
from opalesce.measure import measure
from opalesce.measure.engines import DIED, engine
from opalesce.observables.registry import REGISTRY, observable
from opalesce.runs.open import open as open_run
from opalesce.runs.safetensors import write

NAMES = ["stable_rank", "gini", "distance_from_previous"]
FATAL = (14, 9)  # shape of the tensor that takes the worker down
ENGINES = [("loky", 2), ("dask://local", 2), ("ray://local", 2)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines") / "run"
    folder.mkdir()
    rng = np.random.default_rng(0)
    w = {"a.weight": rng.normal(size=(12, 10)), "b.weight": rng.normal(size=(9, 9))}
    for step in range(4):
        w = {k: v + 0.1 * rng.normal(size=v.shape) for k, v in w.items()}
        extra = {"c.weight": rng.normal(size=FATAL)} if step == 2 else {}
        write(folder / f"step{step}.safetensors", w | extra)
    return folder


@pytest.fixture(scope="module")
def serial(run: Path) -> xr.Dataset:
    return measure(open_run(run), NAMES).drop_attrs()


@pytest.mark.parametrize(("name", "jobs"), [*ENGINES, ("threading", 2), ("sequential", 1)])
def test_every_engine_gives_the_same_bits(run: Path, serial: xr.Dataset, name: str, jobs: int):
    assert measure(open_run(run), NAMES, engine=name, n_jobs=jobs).drop_attrs().identical(serial)


def test_a_dask_cluster_by_its_address(run: Path, serial: xr.Dataset):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        assert measure(open_run(run), NAMES, engine=address).drop_attrs().identical(serial)


def test_three_shards_at_once_through_a_shared_folder(run: Path, serial: xr.Dataset, tmp_path: Path):
    script = (
        "import sys; from opalesce.measure import measure; "
        "measure(sys.argv[1], sys.argv[3].split(), out=sys.argv[2], shard=(int(sys.argv[4]), 3))"
    )
    shards = [
        subprocess.Popen([sys.executable, "-c", script, str(run), str(tmp_path), " ".join(NAMES), str(i)])
        for i in range(3)
    ]
    assert [p.wait(timeout=120) for p in shards] == [0, 0, 0]
    cells = sorted(p.stat().st_mtime_ns for p in tmp_path.rglob("*.json"))
    assert measure(open_run(run), NAMES, out=tmp_path).drop_attrs().identical(serial)
    assert sorted(p.stat().st_mtime_ns for p in tmp_path.rglob("*.json")) == cells  # nothing was left to do


@pytest.fixture
def deadly() -> Iterator[str]:
    home, fatal = os.getpid(), FATAL

    def deadly(w: np.ndarray) -> float:
        """Norm, unless the matrix is the fatal one and this is a worker."""
        if w.shape == fatal and os.getpid() != home:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(np.linalg.norm(w))

    observable(on="weight", unit="1", null="twin", source="golub2013matrix")(deadly)
    yield "deadly"
    del REGISTRY["deadly"]


# Ray tries an actor anew with growing pauses: up to minutes on a busy machine
DYING = [*ENGINES[:2], pytest.param(*ENGINES[2], marks=pytest.mark.validate)]


@pytest.mark.parametrize(("name", "jobs"), DYING)
def test_a_worker_that_dies_loses_only_its_cell(run: Path, deadly: str, name: str, jobs: int, tmp_path: Path):
    ds = measure(open_run(run), [deadly, "norm"], engine=name, n_jobs=jobs, out=tmp_path)
    alive = measure(open_run(run), [deadly, "norm"])
    lost = ds[f"{deadly}_status"].values == DIED
    assert lost.sum() == 1
    assert ds[f"{deadly}_status"].sel(step=2, module="c.weight").item() == DIED
    for v in ("deadly", "norm"):
        assert np.array_equal(ds[v].values[~lost], alive[v].values[~lost], equal_nan=True)


def test_engines_that_are_not_there():
    with pytest.raises(InputError, match="no such engine"), engine("warp"):
        pass
    with pytest.raises(InputError, match="no Dask cluster answers"), engine("dask://127.0.0.1:9"):
        pass
    with pytest.raises(InputError, match="handed out by a cluster"), engine("loky", gpus=1):
        pass


def test_gpus_are_asked_of_the_cluster(run: Path, serial: xr.Dataset):
    # workers that offer a GPU take the tasks; the resource is a name, no GPU is touched
    got = measure(open_run(run), NAMES, engine="dask://local", n_jobs=1, gpus=1)
    assert got.drop_attrs().identical(serial)
