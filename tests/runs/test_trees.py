"""Orbax folders and Flax files written by those libraries, and states in memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgpack
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import opalesce
from opalesce.cli import main
from opalesce.errors import FormatError, InputError
from opalesce.runs.flax_file import parse
from opalesce.runs.orbax import OrbaxCheckpoint

# JAX wants a process of its own: it starts threads and warns about forks
WRITE = """
import sys
from pathlib import Path
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import serialization

def tree(step):
    rng = np.random.default_rng(step)
    dense = {"kernel": rng.normal(size=(12, 8)).astype(np.float32), "bias": np.zeros(8, np.float32)}
    wide = jnp.asarray(np.arange(64).reshape(8, 8), jnp.bfloat16)
    return {"params": {"dense": dense, "embed": wide}, "step": step, "opt_state": [{"mu": np.ones(3)}, None]}

out = Path(sys.argv[1])
with ocp.CheckpointManager(out / "manager") as manager:
    for step in (0, 10, 200):
        manager.save(step, args=ocp.args.StandardSave(tree(step)))
    manager.wait_until_finished()
ocp.PyTreeCheckpointer().save(out / "plain/step5", tree(5))
ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False)).save(out / "folders/step5", tree(5))
ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_zarr3=True)).save(out / "zarr3/step5", tree(5))
(out / "flax/step5").mkdir(parents=True)
(out / "flax/step5/flax_model.msgpack").write_bytes(serialization.to_bytes(tree(5)))
serialization.MAX_CHUNK_SIZE = 100
(out / "chunks/step5").mkdir(parents=True)
(out / "chunks/step5/flax_model.msgpack").write_bytes(serialization.to_bytes(tree(5)))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPALESCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kernel(step: int) -> np.ndarray:
    return np.random.default_rng(step).normal(size=(12, 8)).astype(np.float32)


@pytest.mark.parametrize("kind", ["plain", "folders", "zarr3", "flax", "chunks"])
def test_reads_what_the_library_wrote(saved: Path, kind: str) -> None:
    (c,) = opalesce.open(saved / kind)
    assert c.step == 5
    infos = c.tensors()
    assert {n: (i.dtype, i.shape) for n, i in infos.items()} == {
        "dense.kernel": ("F32", (12, 8)), "dense.bias": ("F32", (8,)), "embed": ("BF16", (8, 8)),
    }  # fmt: skip
    assert np.array_equal(c.read("dense.kernel"), kernel(5))
    assert np.array_equal(c.read("dense.kernel", 3), kernel(5)[3])
    assert c.read("embed").dtype == np.float32
    assert np.array_equal(c.read("embed"), np.arange(64).reshape(8, 8))
    assert np.array_equal(c.read("dense.bias"), np.zeros(8))
    with pytest.raises(InputError, match="no"):
        c.read("opt_state.0.mu")


def test_a_manager_is_a_run(saved: Path, tmp_path: Path) -> None:
    run = opalesce.open(saved / "manager")
    assert [c.step for c in run] == [0, 10, 200]
    assert len({c.fingerprint() for c in run}) == 3
    out = str(tmp_path / "m")
    assert main(["measure", str(saved / "manager"), "--observables", "stable_rank", "--out", out]) == 0
    assert main(["check", str(saved / "manager")]) == 0
    assert np.array_equal(run.checkpoint(200).read("dense.kernel"), kernel(200))


def test_tensorstore_reads_without_jax(saved: Path) -> None:
    code = f"""
import sys, opalesce
run = opalesce.open({str(saved / "manager")!r})
print(run.checkpoints[0].read("embed").sum(), {{"jax", "orbax", "torch"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout == "2016.0 set()\n", done.stderr


@pytest.mark.parametrize(("module", "kind"), [("tensorstore", "plain"), ("msgpack", "flax")])
def test_without_the_extra_the_error_names_it(saved: Path, kind: str, module: str) -> None:
    code = f"""
import sys
sys.modules[{module!r}] = None
import opalesce
try:
    opalesce.open({str(saved / kind)!r}).checkpoints[0].tensors()
except opalesce.errors.InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "opalesce[orbax]" in done.stdout, done.stderr


def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved / "folders/step5", tmp_path / "step5"))


def test_hostile_orbax_folders_are_refused(saved: Path, tmp_path: Path) -> None:
    folder = copy(saved, tmp_path)
    meta = json.loads((folder / "_METADATA").read_text())
    key = "('params', 'embed')"
    words = [{"key": "params", "key_type": 2}, {"key": "../../secret", "key_type": 2}]
    entry = {**meta["tree_metadata"][key], "key_metadata": words}
    for content, says in (
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no tree"),
        (b'{"tree_metadata": {"a": 3}}', "malformed"),
        (b'{"tree_metadata": {}}', "no array"),
        (json.dumps({**meta, "tree_metadata": {key: entry}}).encode(), "path"),
    ):  # fmt: skip
        (folder / "_METADATA").write_bytes(content)
        with pytest.raises(FormatError, match=says):
            OrbaxCheckpoint(0, (folder,)).tensors()
    (folder / "_METADATA").write_text(json.dumps(meta))
    zarray = folder / "params.embed/.zarray"
    good = zarray.read_text()
    for shape in ([10**7, 10**7], [-1, 8], [8, 8, 8]):
        zarray.write_text(json.dumps(json.loads(good) | {"shape": shape}))
        with pytest.raises(FormatError):
            OrbaxCheckpoint(0, (folder,)).tensors()
    zarray.write_text(good)
    (folder / "params.embed/0.0").write_bytes(b"noise")
    c = OrbaxCheckpoint(0, (folder,))
    with pytest.raises(FormatError, match="cannot be read"):
        c.read("embed")
    assert np.array_equal(c.read("dense.kernel"), kernel(5))
    (folder / "link").symlink_to("/etc")
    with pytest.raises(FormatError, match="links"):
        OrbaxCheckpoint(0, (folder,)).tensors()


def array(shape: list[object], dtype: str, data: bytes) -> msgpack.ExtType:
    return msgpack.ExtType(1, msgpack.packb([shape, dtype, data]))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xc1",
        b"\x81" * 5000,
        b"\xdf\xff\xff\xff\xff",
        msgpack.packb([1]),
        msgpack.packb({"a": 1}),
        msgpack.packb({"w": array([10**9, 10**9], "float32", b"1234")}),
        msgpack.packb({"w": array([-1], "float32", b"1234")}),
        msgpack.packb({"w": array([1], "object", b"1234")}),
        msgpack.packb({"w": msgpack.ExtType(1, b"\x91" * 3000)}),
        msgpack.packb({"w": {"__msgpack_chunked_array__": True, "shape": {"0": 4}, "chunks": {}}}),
        b"\x82\xa1a\x01\xa1a\x01",
    ],
)
def test_hostile_msgpack_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        parse(raw)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
def test_msgpack_raises_nothing_else(noise: bytes, at: int, byte: int) -> None:
    raw = bytearray(msgpack.packb({"params": {"w": array([2, 2], "float32", bytes(16))}}))
    raw[at % len(raw)] = byte
    for data in (noise, bytes(raw)):
        with suppress(FormatError):
            parse(data)


def test_a_module_and_states_in_memory() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Linear(6, 4)).to(torch.bfloat16)
    run = opalesce.open(model, name="tiny")
    (c,) = run.checkpoints
    assert run.name == "tiny"
    before = c.read("0.weight")
    assert np.array_equal(before, model.state_dict()["0.weight"].float().numpy())
    print_ = c.fingerprint()
    with torch.no_grad():
        model[0].weight.add_(1)  # training goes on: the run does not change
    assert np.array_equal(c.read("0.weight"), before)
    assert c.fingerprint() == print_ != opalesce.open(model).checkpoints[0].fingerprint()
    ladder = opalesce.open({s: {"w": np.random.default_rng(s).normal(size=(9, 9))} for s in (100, 0, 10)})
    assert [k.step for k in ladder] == [0, 10, 100]
    ds = opalesce.measure(ladder, observables=["stable_rank"])
    assert ds["stable_rank"].notnull().all()
    assert [f for f in ladder.check() if f.severity == "fault"] == []
    with pytest.raises(InputError, match="numbers as keys"):
        opalesce.open({"a": {"w": np.ones((2, 2))}})
    with pytest.raises(InputError, match="not a table"):
        opalesce.open({"a": 3})
    table = pd.DataFrame({"step": [0, 1, 2], "loss": [3.0, 2.0, 1.0]})
    assert list(opalesce.open(table).curves) == ["loss"]
