"""Readers of logs against files that the real libraries wrote, and against what goes wrong with them."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce.errors import FormatError
from opalesce.runs.archive import MAX_RATIO, Archive
from opalesce.runs.csv import read_csv
from opalesce.runs.npz import read_npz
from opalesce.runs.open import open
from opalesce.runs.text_log import read_text
from opalesce.runs.tfevents import read_events
from opalesce.runs.wandb_file import read_wandb
from opalesce.runs.yaml_config import read_yaml
from runs.real_files import TEXT, archive, inspect_log, wandb_log, wandb_row
from runs.real_logs import STEPS, write


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sittings of one run by torch's SummaryWriter; the third purges from step 30."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.utils.tensorboard import SummaryWriter
    folder = tmp_path_factory.mktemp("board") / "tb"
    for sitting, (start, stop, purge) in enumerate([(0, 20, None), (20, 40, None), (30, 50, 30)]):
        with SummaryWriter(str(folder), purge_step=purge, filename_suffix=f".{sitting}") as writer:
            for step in range(start, stop):
                writer.add_scalar("loss", 100 * sitting + step, step)
            writer.add_histogram("weights", np.arange(9.0), stop)
    # the names start with a second and end with a process: order them as the sittings were
    for path in list(folder.iterdir()):
        path.rename(folder / f"events.out.tfevents.{path.name[-1]}")
    return folder


def test_event_files_of_one_folder_are_one_log(board: Path) -> None:
    run = open(board)
    loss = run.curves["loss"]
    assert set(run.curves) == {"loss"}
    assert loss.x.tolist() == list(range(50))
    assert loss.y.tolist() == [*range(20), *range(120, 130), *range(230, 250)]  # 30 to 39 were purged
    assert (loss.complete, loss.lineage) == ("complete", "loss")
    assert [(e.x, e.kind) for e in run.events] == [(30.0, "restart")]
    assert len(run.scan.took) == 3


def test_event_files_cut_short_or_changed_give_what_came_before(board: Path, tmp_path: Path) -> None:
    whole = (board / "events.out.tfevents.0").read_bytes()
    path = tmp_path / "events.out.tfevents.0"
    scalars = whole.index(b"weights")
    path.write_bytes(whole[: scalars // 2])
    cut = read_events([path])
    assert 5 < cut.curves[0].x.size < 20
    assert [f.kind for f in cut.faults] == ["truncated log"]
    changed = bytearray(whole)
    changed[scalars // 2] ^= 1
    path.write_bytes(changed)
    assert "checksum" in read_events([path]).faults[0].seen


def test_what_went_through_tensorboards_reservoir_is_sampled(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.reservoir import Reservoir

    kept = Reservoir(1000)
    for step in range(20_000):
        kept.AddItem("loss", (1.5e9 + step, step, 1 / (1 + step)))
    table = pd.DataFrame(kept.Items("loss"), columns=["Wall time", "Step", "Value"])
    table.to_csv(tmp_path / "run-tb-tag-train_loss.csv", index=False)
    (curve,) = read_csv(tmp_path / "run-tb-tag-train_loss.csv").curves
    assert (curve.name, curve.x.size, curve.complete, curve.lineage) == (
        "train_loss",
        1000,
        "sampled",
        "loss",
    )
    assert "sampled curve" in {f.kind for f in open(tmp_path).check()}


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline")
    assert write("wandb", folder).wait(timeout=120) == 0
    return next(folder.rglob("*.wandb"))


def test_wandb_offline(offline: Path) -> None:
    parsed = read_wandb(offline)
    curves = {c.name: c for c in parsed.curves}
    assert set(curves) == {"loss", "eval/acc"}  # clocks and notes are no curves
    assert curves["loss"].x.tolist() == list(range(0, STEPS * 5, 5))
    assert curves["loss"].y[3] == 4 - 0.15
    assert curves["loss"].complete == "complete"
    assert parsed.config == {"lr": 0.1, "opt": {"warmup_steps": 6}}
    assert offline.stat().st_size > 32768  # records across blocks were met
    run = open(offline.parents[2])
    assert [(e.x, e.kind) for e in run.events] == [(6.0, "warm-up end")]


def test_a_killed_wandb_run_keeps_its_rows(offline: Path, tmp_path: Path) -> None:
    path = tmp_path / "run-x.wandb"
    path.write_bytes(offline.read_bytes()[:-5000])
    parsed = read_wandb(path)
    n = parsed.curves[0].x.size
    assert 20 < n < STEPS
    assert parsed.curves[0].y.tolist() == read_wandb(offline).curves[0].y[:n].tolist()
    assert [f.kind for f in parsed.faults] == ["truncated log"]


def test_wandb_exports_that_are_random_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    steps = np.sort(rng.choice(30_000, 500, replace=False))
    rows = [{"_step": int(s), "_timestamp": 1e9 + s, "_runtime": s / 2, "loss": 1 / (1 + s)} for s in steps]
    (tmp_path / "history.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_json(tmp_path / "columns.json")
    pd.DataFrame(rows).rename(columns={"_step": "Step", "loss": "small - loss"}).assign(
        **{"small - loss__MIN": 0.0, "small - loss__MAX": 1.0}
    ).to_csv(tmp_path / "chart.csv", index=False)
    run = open(tmp_path)
    assert set(run.curves) == {"small - loss", "loss", "history/loss"}
    assert {c.complete for c in run.curves.values()} == {"sampled"}
    assert all(c.x.tolist() == steps.tolist() for c in run.curves.values())


def test_wandb_step_without_an_item(tmp_path: Path) -> None:
    path = tmp_path / "run-1.wandb"
    path.write_bytes(wandb_log(*(wandb_row(_step=s, loss=s) for s in range(5)))[:-3])
    assert read_wandb(path).curves[0].x.tolist() == [0, 1, 2, 3]


def test_text_logs(tmp_path: Path) -> None:
    path = tmp_path / "main.log"
    path.write_bytes(TEXT)
    curves = {c.name: c for c in read_text(path).curves}
    assert set(curves) == {"val_loss", "train_loss", "loss", "lr", "norm"}  # no times, no rates
    assert curves["val_loss"].x.tolist() == [0, 125, 250, 300]
    assert curves["val_loss"].y.tolist() == [10.8258, 4.8, 3.2, 3.0]
    assert curves["train_loss"].y.tolist() == [4.91, 3.1]
    assert curves["loss"].x.tolist() == [260, 270, 280]
    assert (curves["lr"].y.tolist(), curves["norm"].y.tolist()) == ([6e-4], [0.4])
    path.write_text("step 1 of the plan: buy 3 apples\n" * 2)
    with pytest.raises(FormatError, match="no training log"):
        read_text(path)


def test_arrays(tmp_path: Path) -> None:
    steps = np.arange(8)
    path = tmp_path / "a.npz"
    np.savez(path, step=steps, loss=8.0 - steps, head=np.outer(steps, [1, 2]), odd=np.ones(3))
    parsed = read_npz(path)
    assert [c.name for c in parsed.curves] == ["loss", "head[0]", "head[1]"]
    assert parsed.curves[2].y.tolist() == (2 * steps).tolist()
    assert [f.kind for f in parsed.faults] == ["array left"]
    np.savez(path, step=np.array([{}, 1], object), loss=steps)
    with pytest.raises(FormatError, match="no array is a control axis"):
        read_npz(path)
    np.save(tmp_path / "b.npy", np.array([{}], object))
    with pytest.raises(FormatError, match="pickle"):
        read_npz(tmp_path / "b.npy")


def test_inspect_logs_and_the_harness_make_one_series(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        archive(tmp_path / f"log_{step}.eval", inspect_log(step, step / 100))
    (tmp_path / "later.json").write_text(json.dumps(inspect_log(40, 0.4)))
    unfinished = {**inspect_log(50, 0.5), "status": "started"}
    (tmp_path / "half.json").write_text(json.dumps(unfinished))
    run = open(tmp_path)
    curve = run.curves["gsm8k/accuracy"]
    assert curve.x.tolist() == [10, 20, 30, 40]
    assert curve.y.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert curve.stderr is not None
    assert np.allclose(curve.stderr**2, curve.y * (1 - curve.y) / 99)
    assert (curve.continuous, curve.n_trials, curve.lineage) == (False, 100, "evals")
    assert [item.why for item in run.scan.left] == ["an evaluation that did not finish"]


@pytest.mark.parametrize("name", ["../out.json", "/etc/out.json", "a\\..\\..\\out.json", "C:\\out.json"])
def test_an_archive_whose_members_lead_out_is_not_opened(name: str, tmp_path: Path) -> None:
    path = tmp_path / "step1.eval"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(zipfile.ZipInfo("x"), "{}")
        file.infolist()[0].filename = name
        file.writestr("header.json", json.dumps(inspect_log(1, 0.1)))
    with pytest.raises(FormatError, match="not opened"), Archive(path):
        pass


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "step1.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.json", b"0" * 20_000_000)
    with Archive(path) as bomb, pytest.raises(FormatError, match="not opened") as error:
        bomb.read("header.json")
    assert str(MAX_RATIO * bomb.infos["header.json"].compress_size) in str(error.value)


def test_yaml_builds_no_object(tmp_path: Path) -> None:
    path = tmp_path / "hparams.yaml"
    path.write_text("lr: {desc: null, value: 0.1}\n_wandb: {value: {}}\nopt: {a: 1}\n")
    assert read_yaml(path) == {"lr": 0.1, "opt": {"a": 1}}
    for hostile in (
        "x: !!python/object/apply:os.getcwd []\n",
        "a: &a [1]\nb: [" + "*a, " * 200 + "]\n",
        "- 1\n",
    ):
        path.write_text(hostile)
        with pytest.raises(FormatError):
            read_yaml(path)


def test_trainer_states_of_a_run_that_was_resumed(tmp_path: Path) -> None:
    def state(step: int, first: int, flops: float) -> None:
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        rows = [{"step": s, "loss": 10.0 - s} for s in range(first, step + 1)]
        content = {"global_step": step, "total_flos": flops, "max_steps": 6, "log_history": rows}
        (folder / "trainer_state.json").write_text(json.dumps(content))

    state(2, 1, 2e9)
    state(4, 1, 4e9)
    state(6, 5, 6e9)  # resumed with a new history
    flops = [{"flops": 1e9 * k, "probe": k} for k in (1, 2, 3, 5)]
    (tmp_path / "probe.jsonl").write_text("\n".join(json.dumps(r) for r in flops))
    run = open(tmp_path)
    assert run.curves["loss"].x.tolist() == [1, 2, 3, 4, 5, 6]
    assert [(e.x, e.kind) for e in run.events] == [(5.0, "restart")]
    assert [(i.path, i.why) for i in run.scan.left] == [
        ("checkpoint-2/trainer_state.json", "an earlier trainer state")
    ]
    assert run.curves["probe"].x.tolist() == [1, 2, 3, 5]  # by total_flos of the states
    assert run.config["max_steps"] == 6
