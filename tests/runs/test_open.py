"""Folders of every shape become one run, or an error that says what to type."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import FormatError, InputError
from opalesce.runs.open import open
from opalesce.runs.run import Run
from opalesce.runs.safetensors import write


def weights(path: Path, value: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, {"w": np.full((2, 3), value, np.float32)})


def why(run: Run) -> dict[str, str]:
    return {item.path: item.why for item in run.scan.left}


def test_a_folder_with_everything(tmp_path: Path) -> None:
    root = tmp_path / "my_run"
    for step in (0, 100, 20, 3):
        weights(root / f"checkpoint-{step}" / "model.safetensors", step)
    weights(root / "checkpoint-100" / "optimizer.safetensors")
    weights(root / "model.safetensors")
    (root / "checkpoint-100" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (root / "log.jsonl").write_text('{"step": 0, "loss": 2}\n{"step": 100, "loss": 1}\n')
    (root / "eval.csv").write_text("step,loss,acc\n0,3,0\n100,2,1\n")
    (root / "notes.csv").write_text("a,b\n1,2\n")
    (root / "config.json").write_text('{"warmup_steps": 10, "d_model": 64}')
    (root / "tokenizer.json").write_text("{}")
    (root / "readme.txt").write_text("hi")
    (root / ".hidden").write_text("hi")
    run = open(root)
    assert run.name == "my_run"
    assert [c.step for c in run.checkpoints] == [0, 3, 20, 100]
    assert run.checkpoint(20).read("w")[0, 0] == 20
    # eval.csv is read first; the second file with a column "loss" gets its name in front
    assert set(run.curves) == {"loss", "acc", "log/loss"}
    assert run.config["d_model"] == 64
    assert [(e.x, e.kind) for e in run.events] == [(10.0, "warm-up end")]
    left = why(run)
    assert left["checkpoint-100/pytorch_model.bin"].startswith("pickle: not opened by default")
    assert left["readme.txt"] == "no training log"
    assert "control axis" in left["notes.csv"]
    assert "beside model.safetensors" in left["checkpoint-100/optimizer.safetensors"]
    assert "no step" in left["model.safetensors"]
    assert "tokenizer.json" in left
    assert ".hidden" not in left
    assert not set(left) & {name for name, _ in run.scan.took}
    assert open(root).scan == run.scan


def test_flat_files_and_shards(tmp_path: Path) -> None:
    for step in (100, 2000):
        weights(tmp_path / "flat" / f"model_step{step:06}.safetensors", step)
    assert [c.step for c in open(tmp_path / "flat").checkpoints] == [100, 2000]
    folder = tmp_path / "sharded" / "stage1-step100-tokens4B"
    weights(folder / "model-00001-of-00002.safetensors")
    write(folder / "model-00002-of-00002.safetensors", {"v": np.ones(3)})
    names = {"w": "model-00001-of-00002.safetensors", "v": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    (c,) = open(tmp_path / "sharded").checkpoints
    assert (c.step, set(c.tensors()), len(c.paths)) == (100, {"w", "v"}, 2)


def test_a_bad_index_is_left_and_becomes_a_finding(tmp_path: Path) -> None:
    weights(tmp_path / "step1" / "model.safetensors")
    bad = tmp_path / "step2" / "model.safetensors.index.json"
    bad.parent.mkdir()
    bad.write_text('{"weight_map": {"w": "../step1/model.safetensors"}}')
    run = open(tmp_path)
    assert [c.step for c in run.checkpoints] == [1]
    assert any(f.kind == "bad file" and f.file == str(bad) for f in run.check())


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    secret = weights(tmp_path / "secret" / "step5.safetensors")
    root = tmp_path / "run"
    weights(root / "step1.safetensors")
    (root / "step5.safetensors").symlink_to(secret)
    (root / "more").symlink_to(secret.parent)
    (root / "step2.safetensors").symlink_to("step1.safetensors")
    run = open(root)
    assert [c.step for c in run.checkpoints] == [1, 2]
    assert {"step5.safetensors", "more"} <= set(why(run))


def test_opening_reads_no_weights(tmp_path: Path) -> None:
    (tmp_path / "step1.safetensors").write_bytes(b"nothing")
    weights(tmp_path / "step2.safetensors")
    run = open(tmp_path)
    assert len(run.checkpoints) == 2
    assert run.checkpoints[1].read("w").shape == (2, 3)
    with pytest.raises(FormatError, match=r"step1\.safetensors"):
        run.checkpoints[0].tensors()


def test_one_file(tmp_path: Path) -> None:
    path = weights(tmp_path / "model.safetensors", 5)
    run = open(path)
    assert [c.step for c in run.checkpoints] == [0]
    (tmp_path / "log.csv").write_text("epoch,loss\n1,2\n2,1\n")
    logged = open(str(tmp_path / "log.csv"))
    assert (logged.name, logged.axis.name, logged.axis.unit) == ("log", "epoch", "epochs")


def test_the_folder_of_one_state(tmp_path: Path) -> None:
    weights(tmp_path / "step70" / "model.safetensors")
    assert [c.step for c in open(tmp_path / "step70").checkpoints] == [70]


def test_other_axis_is_left(tmp_path: Path) -> None:
    weights(tmp_path / "step1.safetensors")
    (tmp_path / "log.csv").write_text("tokens,loss\n1,2\n2,1\n")
    run = open(tmp_path)
    assert run.curves == {}
    assert "along tokens" in why(run)["log.csv"]


def test_trainer_state(tmp_path: Path) -> None:
    for step in (10, 20):
        history = [{"step": s, "loss": float(s), "epoch": 0.1} for s in range(1, step + 1)]
        folder = tmp_path / f"checkpoint-{step}"
        weights(folder / "model.safetensors")
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history}))
    run = open(tmp_path)
    assert list(run.curves) == ["loss"]
    assert run.curves["loss"].x.size == 20
    assert why(run)["checkpoint-10/trainer_state.json"] == "an earlier trainer state"


def test_two_runs_in_a_folder(tmp_path: Path) -> None:
    for seed in (1, 2):
        weights(tmp_path / f"seed{seed}" / "step10.safetensors")
    with pytest.raises(InputError, match="more than one run") as caught:
        open(tmp_path)
    assert "seed1, seed2" in caught.value.fix


def test_two_models_in_a_folder(data: Path) -> None:
    with pytest.raises(InputError, match="more than one run") as caught:
        open(data / "pythia_evals")
    assert "pythia-160m" in caught.value.fix


def test_errors_say_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "my_run").mkdir()
    with pytest.raises(InputError, match="my_run") as caught:
        open(tmp_path / "my_rum")
    assert "did you mean" in caught.value.fix
    with pytest.raises(InputError, match="hub"):
        open("hf://EleutherAI/pythia-70m")
    with pytest.raises(InputError, match="nothing to read"):
        open(tmp_path / "my_run")
    with pytest.raises(InputError, match="DataFrame"):
        open(3)
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError, match="not a CSV"):
        open(tmp_path / "a.csv")
    (tmp_path / "m.bin").write_bytes(b"\x80")
    with pytest.raises(InputError, match="pickle"):
        open(tmp_path / "m.bin")
