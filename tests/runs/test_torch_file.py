"""Torch pickles: read by a confined child when allowed, refused with a reason when they are anything else."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import opalesce
from opalesce.cli import main
from opalesce.errors import FormatError, InputError
from opalesce.runs import torch_file
from opalesce.runs.torch_file import TorchCheckpoint, converted

MEASURE = ("--allow-pickle", "--observables", "stable_rank", "--out")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPALESCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    kinds = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16}
    out = {k: torch.randn(12, 8, generator=g).to(d) for k, d in kinds.items()}
    out |= {"ids": torch.arange(7), "flag": torch.tensor([True, False]), "scalar": torch.tensor(2.5)}
    return out | {"turned": out["f32"].T, "tied": out["f32"]}


def same(c: TorchCheckpoint, want: dict[str, torch.Tensor]) -> None:
    assert set(c.tensors()) == set(want)
    for name, t in want.items():
        wide = t.float() if t.dtype in (torch.bfloat16, torch.float16) else t
        assert np.array_equal(c.read(name), wide.numpy()), name


@pytest.mark.parametrize("archive", [True, False])
def test_reads_what_torch_saves(tmp_path: Path, cache: Path, archive: bool) -> None:
    path = tmp_path / "model.pt"
    torch.save(state(), path, _use_new_zipfile_serialization=archive)
    c = TorchCheckpoint(0, (path,))
    assert len(c.fingerprint()) == 32
    assert not cache.exists()  # nothing is opened before a tensor is asked for
    same(c, state())
    folder = cache / "converted"
    (made,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert made.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("home", ["state_dict", "model", "module"])
def test_finds_the_state_within(tmp_path: Path, home: str) -> None:
    path = tmp_path / "step3.ckpt"
    wrapped = {f"module.{k}": t for k, t in state().items()}
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"epoch": 3, home: wrapped, "optimizer": optimizer}, path)
    same(TorchCheckpoint(0, (path,)), state())


def test_a_run_of_pickles_needs_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    for step in (0, 10, 20):
        folder = run / f"step{step}"
        folder.mkdir(parents=True)
        torch.save({"w": torch.randn(9, 7)}, folder / "pytorch_model.bin")
        torch.save({"state": {}, "param_groups": []}, folder / "optimizer.pt")
    with pytest.raises(InputError, match="--allow-pickle"):
        opalesce.open(run)
    opened = opalesce.open(run, allow_pickle=True)
    assert [c.step for c in opened] == [0, 10, 20]
    assert {i.why for i in opened.scan.left} == {"what a trainer saves beside the model: not weights"}
    assert main(["measure", str(run), *MEASURE, str(tmp_path / "m")]) == 0
    assert main(["check", str(run), "--allow-pickle"]) == 0
    assert main(["check", str(run)]) == 2
    assert "pickle: not opened by default" in capsys.readouterr().err


def test_shards_behind_an_index(tmp_path: Path) -> None:
    run = tmp_path / "step1"
    run.mkdir()
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    for name, key in zip(names, "ab", strict=True):
        torch.save({key: torch.ones(2, 2)}, run / name)
    (run / "pytorch_model.bin.index.json").write_text(
        f'{{"weight_map": {{"a": "{names[0]}", "b": "{names[1]}"}}}}'
    )
    (c,) = opalesce.open(run, allow_pickle=True)
    assert set(c.tensors()) == {"a", "b"}
    (run / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "../../secret.bin"}}')
    with pytest.raises(FormatError, match="outside"):
        opalesce.open(run / "pytorch_model.bin.index.json", allow_pickle=True)


class Bomb:
    """A pickle that runs a command when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def hostile(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no plain state, and a word of the reason they are refused for."""
    out = {}

    def add(name: str, says: str) -> Path:
        out[name] = (folder / f"{name}.pt", says)
        return folder / f"{name}.pt"

    torch.save({"w": Bomb(folder / "mark")}, add("code", "there are objects"))
    add("plain_code", "there are objects").write_bytes(pickle.dumps(Bomb(folder / "mark")))
    torch.save(torch.nn.Linear(2, 2), add("module", "there are objects"))
    torch.save(
        torch.optim.Adam([torch.ones(2, requires_grad=True)]).state_dict(), add("optimizer", "optimizer")
    )
    torch.save({"epoch": 3}, add("nothing", "no tensor"))
    torch.save([1, 2], add("list", "no state dict"))
    torch.save({"w": torch.ones(1).expand(10**5, 10**5)}, add("expanded", "larger than what is stored"))
    whole = torch.ones(10**6)
    torch.save({f"w{i}": whole for i in range(400)}, add("views", "larger than the file"))
    torch.save({"w": torch.eye(3).to_sparse()}, add("sparse", "not read here"))
    add("empty", "torch cannot read").write_bytes(b"")
    add("noise", "it is broken").write_bytes(np.random.default_rng(0).bytes(5000))
    good = folder / "good.tmp"
    torch.save({"w": torch.ones(300, 300)}, good)
    add("cut", "torch cannot read").write_bytes(good.read_bytes()[:-2000])
    with (
        zipfile.ZipFile(good) as old,
        zipfile.ZipFile(add("zip", "compressed"), "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.namelist():
            new.writestr(member, old.read(member) if "data/" not in member else bytes(10**8))
    return out


def test_hostile_files_are_refused_and_nothing_runs(tmp_path: Path, cache: Path) -> None:
    for name, (path, says) in hostile(tmp_path).items():
        with pytest.raises(FormatError, match=says) as caught:
            converted(path)
        assert str(path) in str(caught.value), name
    assert not (tmp_path / "mark").exists()
    assert list((cache / "converted").iterdir()) == []


def test_limits_stop_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    torch.save(state(), path)
    with pytest.raises(FormatError, match=r"limits|memory|takes too long"):
        converted(path, memory=1 << 27)
    deep = b"\x80\x02" + b"]" * 20_000_000 + b"."  # lists without end
    (tmp_path / "deep.pt").write_bytes(deep)
    with pytest.raises(FormatError):
        converted(tmp_path / "deep.pt", memory=2 << 30, seconds=10)
    monkeypatch.setattr(torch_file, "LEAST", (99, 0))
    with pytest.raises(InputError, match="CVE"):
        converted(path)


def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for step in range(3):
        torch.save({"w": torch.randn(20, 10)}, run / f"step{step}.pt")
    torch.save({"w": Bomb(tmp_path / "mark")}, run / "step1.pt")
    assert main(["measure", str(run), *MEASURE, str(tmp_path / "m")]) == 0
    table = (tmp_path / "m/measured.csv").read_text()
    assert "stable_rank,0.0,w" in table
    assert "stable_rank,2.0,w" in table
    assert "there are objects in it" in table
    assert not (tmp_path / "mark").exists()


def test_the_child_has_no_network_where_that_is_permitted() -> None:
    code = """
import os, socket
from opalesce.runs.torch_child import confine, leave_network
server = socket.create_server(("127.0.0.1", 0))
before = os.readlink("/proc/self/ns/net")
leave_network()
confine(8 << 30, 10, 1 << 20)
if os.readlink("/proc/self/ns/net") == before:
    print("forbidden here")
else:
    socket.create_connection(server.getsockname(), 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "forbidden here" in done.stdout or "unreachable" in done.stderr, done.stderr
