"""A folder of hostile files beside a few sound ones, and a place outside that nobody may touch."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from opalesce.runs.safetensors import write

STATES = 14
NAMES = (
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror=window.pwned=1>",
    "=HYPERLINK(1)",
    " =cmd|' -C calc'!A0",
    "＝1+1",
    "\x1b[2J\x1b]0;pwned\x07",
    "\u202egnp.exe\u2066\u200f",
    "line\nfault: forged",
    "%{x}<b>bold</b>${pwned}{{ 7*7 }}",
)


class Bomb:
    """Unpickled, it makes a file: the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.canary}'",)


def corpus(home: Path) -> Path:
    """Make `home/run` (sound and hostile), `home/outside` and, once something is executed, `home/canary`."""
    root, outside = home / "run", home / "outside"
    outside.mkdir(parents=True)
    for k in range(3):
        write(outside / f"step{k}.safetensors", {"secret": np.ones((4, 4), np.float32)})
    (outside / "secret.json").write_text('{"heads": 7, "secret": "outside"}')
    (outside / "prompts.jsonl").write_text('{"tokens": [1, 2, 3]}\n')
    (outside / "log.csv").write_text("step,secret\n" + "".join(f"{i},1\n" for i in range(20)))
    _sound(root)
    _weights(root, outside)
    _pickles(root, home / "canary")
    _logs(root)
    _archives(root)
    _links(root, outside)
    return root


def _sound(root: Path) -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((8, 6))
    (root / "weights").mkdir(parents=True)
    for k in range(STATES):
        state = {n: (w + 0.05 * k).astype(np.float32) for n in ("layer.weight", *NAMES)}
        write(root / "weights" / f"step{100 * k}.safetensors", state)
    with (root / "log.jsonl").open("w", encoding="utf-8") as file:
        for k in range(70):
            row = {n: 4 - 2 * (k > 35) + rng.normal(0, 0.05) for n in ("loss", *NAMES)}
            file.write(json.dumps({"step": 20 * k, **row}) + "\n")
    (root / "evals").mkdir()
    for k in range(STATES):
        tasks = {n: {"acc,none": 0.5, "acc_stderr,none": 0.01} for n in ("task", *NAMES)}
        (root / "evals" / f"results_step{100 * k}.json").write_text(json.dumps({"results": tasks}))


def header(content: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of any header, true or not."""
    return struct.pack("<Q", len(content) if length is None else length) + content + data


def _entry(shape: object, begin: object, end: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def _weights(root: Path, outside: Path) -> None:
    def dump(**entries: object) -> bytes:
        return json.dumps(entries).encode()

    many = {f"t{i}": _entry([1], 4 * i, 4 * i + 4) for i in range(100_000)}
    one = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    twice = b"{" + one + b"," + one + b"}"
    files = {
        9001: header(b"{}", length=2**63),
        9002: header(dump(a=_entry([2], 0, 8), b=_entry([2], 4, 12)), bytes(12)),
        9003: header(twice, bytes(4)),
        9004: header(dump(a=_entry([1000, 1000], 0, 4_000_000)), bytes(10)),
        9005: header(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        9006: header(dump(a=_entry([2**62] * 100_000, 0, 4)), bytes(4)),
        9007: header(dump(experts=_entry([2**62, 4, 0], 0, 0))),
        9008: header(b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[NaN,-Infinity]}}'),
        9009: header(json.dumps(many).encode(), bytes(400_000)),
        9010: b"\x80\x04" + bytes(100),
    }
    for step, data in files.items():
        folder = root / f"step{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(data)
    shards: dict[int, Any] = {
        9101: {"weight_map": {"a": "../../outside/step0.safetensors"}},
        9102: {"weight_map": {"a": str(outside / "step1.safetensors")}},
        9103: {"weight_map": {"a": "link.safetensors"}},
        9104: {"weight_map": {"a": ["model.safetensors"], "b": {"c": 1}}},
    }
    for step, content in shards.items():
        folder = root / f"step{step}"
        folder.mkdir()
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))
    (root / "step9103" / "link.safetensors").symlink_to(outside / "step2.safetensors")
    (root / "step9105").mkdir()
    index = '{"weight_map": {"a": "x.safetensors", "a": "../../outside/step0.safetensors"}}'
    (root / "step9105" / "model.safetensors.index.json").write_text(index)
    tree = {
        "key_metadata": [{"key": "../../outside", "key_type": 2}],
        "value_metadata": {"value_type": "jax.Array"},
    }
    (root / "9201").mkdir()
    (root / "9201" / "_METADATA").write_text(json.dumps({"tree_metadata": {"x": tree}, "use_ocdbt": False}))
    (root / "step9202").mkdir()
    (root / "step9202" / "flax_model.msgpack").write_bytes(b"\x91" * 100_000)
    (root / "step9203").mkdir()
    huge = msgpack.ExtType(1, msgpack.packb([[2**40, 2**20], "float32", b"1234"]))
    (root / "step9203" / "flax_model.msgpack").write_bytes(msgpack.packb({"params": {"w": huge}}))


def _pickles(root: Path, canary: Path) -> None:
    bomb = pickle.dumps(Bomb(canary))
    folder = root / "pickles"
    folder.mkdir()
    for name in ("step1.pt", "pytorch_model.bin", "data.pkl", "x.joblib", "y.ckpt", "z.pickle"):
        (folder / name).write_bytes(bomb)
    objects = np.empty(1, object)
    objects[0] = Bomb(canary)
    np.save(folder / "objects.npy", objects, allow_pickle=True)
    np.savez(folder / "objects.npz", step=np.arange(9), loss=objects)
    with zipfile.ZipFile(folder / "step2.pt", "w") as z:
        z.writestr("archive/data.pkl", bomb)
    (folder / "pickle.safetensors").write_bytes(bomb)
    (folder / "hparams.yaml").write_text(f"a: !!python/object/apply:os.system ['touch {canary}']\n")


def _logs(root: Path) -> None:
    folder = root / "logs"
    folder.mkdir()
    texts = {
        "deep.json": "[" * 100_000,
        "deeper.json": '{"a":' * 900 + "1" + "}" * 900,
        "deep.jsonl": '{"step": 1, "loss": ' + "[" * 5000 + "\n",
        "numbers.json": '[{"step": 1e999, "loss": NaN}, {"step": ' + "9" * 4000 + ', "loss": 1}]',
        "numbers.jsonl": '{"step": -Infinity, "loss": 1e999}\n{"step": ' + "9" * 400 + ', "loss": 2}\n',
        "events.json": '[{"x": ' + "9" * 400 + ', "kind": "restart"}, {"x": NaN, "kind": "</script>"}]',
        "trainer_state.json": '{"log_history": [{"step": 1e400, "loss": {"a": 1}}], "global_step": "x"}',
        "results_step7.json": '{"results": {"t": {"acc": ' + "9" * 400 + "}}}",
        "wide.csv": ",".join(f"c{i}" for i in range(60_000)) + "\n",
        "long.jsonl": '{"step": 1, "a": "' + "x" * 17_000_000 + '"}\n',
        "config.yaml": "a: &a [x, x]\n"
        + "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else '*a'] * 9)}]\n" for i in range(10)),
        "aliases.json": "{}",
        "text.log": "step:1 loss:" + "9" * 100_000 + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "self").mkdir()
    (folder / "self" / "config.yaml").write_text("a: &a [*a]\n")
    (folder / "events.out.tfevents.9").write_bytes(struct.pack("<QI", 2**63, 0) + bytes(99))
    (folder / "run-x.wandb").write_bytes(b":W&B\x00\x00\x00" + b"\xff" * 4000)
    config = {
        "heads": 10**9, "system": "induction", "attention_only": True, "model_type": "llama",
        "vocab_size": 10**9, "hidden_size": 10**9, "intermediate_size": 10**9, "num_hidden_layers": 10**9,
        "num_attention_heads": 10**9, "num_key_value_heads": -1, "rope_parameters": 3,
        "axis": {"name": "</script>"}, "warmup_steps": 10**400, "quantization_config": 1,
        "events": [{"x": 100, "kind": NAMES[0], "label": NAMES[1]}],
    }  # fmt: skip
    (root / "config.json").write_text(json.dumps(config))
    (root / "tokenizer.json").write_text('{"model": {"type": ["x"], "vocab": {"a": 1e999}}}')
    for name in (*NAMES[1:], "a" * 200):
        try:
            (folder / f"{name.replace('/', '_')}.csv").write_text(f'step,"{name}"\n' + "1,2\n2,3\n")
        except (OSError, ValueError):
            continue
    (folder / os.fsdecode(b"\xff\xfe.csv")).write_text("step,loss\n1,2\n")


def _archives(root: Path) -> None:
    folder = root / "archives"
    folder.mkdir()
    outside = root.parent / "outside"
    for name, member in (("up", "../../outside/new"), ("root", str(outside / "new")), ("dos", "..\\..\\new")):
        with zipfile.ZipFile(folder / f"{name}_step1.eval", "w") as z:
            z.writestr(member, "x")
            z.writestr("header.json", "{}")
    zeros = bytes(100_000_000)
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("step.npy", zeros)
    with zipfile.ZipFile(folder / "bomb_step1.eval", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("header.json", zeros)
    (folder / "bomb.csv.gz").write_bytes(gzip.compress(b"step,loss\n" + b"1,1\n" * 6_000_000))
    (folder / "line.csv.gz").write_bytes(gzip.compress(b"step,loss\n" + zeros, 1))
    (folder / "cut.csv.gz").write_bytes(gzip.compress(b"step,loss\n1,2\n")[:-9])
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (2**60,)})
    (folder / "huge.npy").write_bytes(file.getvalue())


def _links(root: Path, outside: Path) -> None:
    folder = root / "links"
    folder.mkdir()
    (folder / "step5.safetensors").symlink_to(outside / "step0.safetensors")
    (folder / "log.csv").symlink_to(outside / "log.csv")
    (folder / "config.json").symlink_to(outside / "secret.json")
    (folder / "folder").symlink_to(outside)
    (folder / "loop").symlink_to(root)
    (folder / "self.csv").symlink_to(folder / "self.csv")
    (folder / "nothing.csv").symlink_to(folder / "missing.csv")
    (root / "prompts.jsonl").symlink_to(outside / "prompts.jsonl")
    os.mkfifo(folder / "pipe.jsonl")
