"""Small sound files of every format that needs no library to write, by name of its reader."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

ROWS = [{"step": s, "loss": 4 - 0.1 * s, "tokens": 64 * s} for s in range(12)]
TEXT = b"""import torch
print0(f"step:{step}/{n} val_loss:{v:.4f} train_time:{t}ms")
step:0/1750 val_loss:10.8258 train_time:0ms step_avg:nanms
step:125/1750 train_loss:4.91 train_time:17000ms step_avg:136.1ms
step:125/1750 val_loss:4.8 train_time:17000ms step_avg:136.1ms
step 250: train loss 3.1, val loss 3.2
iter 260: loss 3.2000, time 230.10ms, mfu 1.20%
[2024-01-01 10:00:00] iter 270: loss 3.1, lr 6e-4, time 230.10ms
step  280/1750 | loss 3.05 | norm 0.4 | dt 30ms | tok/sec: 3000
s:300 tel:3.0
"""


def inspect_log(step: int, acc: float, n: int = 100) -> dict[str, Any]:
    """A finished log of Inspect, by the fields of `inspect_ai.log.EvalLog` (version 2, release 0.3.285).

    The package cannot be installed beside the pinned ones (its cloud clients), so this writes what it writes.
    """
    error = (acc * (1 - acc) / (n - 1)) ** 0.5
    metrics = {k: {"name": k, "value": v, "params": {}} for k, v in (("accuracy", acc), ("stderr", error))}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "task": "suite/gsm8k",
            "model": "hf/org/small",
            "created": "2026-01-01T00:00:00+00:00",
            "dataset": {"name": "gsm8k", "samples": n},
            "metadata": {"step": step},
        },
        "results": {
            "total_samples": n,
            "completed_samples": n,
            "scores": [{"name": "match", "scorer": "match", "scored_samples": n, "metrics": metrics}],
        },
        "stats": {},
    }


def archive(path: Path, log: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("_journal/start.json", json.dumps(log["eval"]))
        file.writestr("header.json", json.dumps(log))
    return path


def wandb_log(*records: bytes, version: int = 0) -> bytes:
    """Records of one piece each, in the first block of a W&B file."""
    out = b":W&B" + struct.pack("<HB", 0xBEE1, version)
    for data in records:
        out += struct.pack("<IHB", zlib.crc32(b"\x01" + data), len(data), 1) + data
    return out


def part(number: int, data: bytes) -> bytes:
    """A field of bytes in a protobuf message (fewer than 128 bytes, number below 32)."""
    key = number << 3 | 2
    head = [key] if key < 128 else [key & 127 | 128, key >> 7]
    return bytes([*head, len(data)]) + data


def wandb_row(**values: float) -> bytes:
    items = (part(1, part(1, k.encode()) + part(16, json.dumps(v).encode())) for k, v in values.items())
    return part(2, b"".join(items))


def npz() -> bytes:
    file = io.BytesIO()
    steps = np.arange(12)
    np.savez(file, step=steps, loss=4 - 0.1 * steps, heads=np.outer(steps, [1.0, 2.0]), odd=np.ones(3))
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([(s, 4 - 0.1 * s) for s in range(12)], [("step", "i8"), ("loss", "f4")]))
    return file.getvalue()


def samples(folder: Path) -> dict[str, bytes]:
    """Content by name of reader."""
    table = "step,loss\n" + "\n".join(f"{r['step']},{r['loss']}" for r in ROWS)
    state = {"global_step": 11, "total_flos": 1e9, "num_input_tokens_seen": 704, "log_history": ROWS}
    result = {"results": {"lambada": {"acc,none": 0.3, "acc_stderr,none": 0.04}}, "config": {}}
    log = inspect_log(3, 0.3)
    return {
        "jsonl log.jsonl": "\n".join(json.dumps(r) for r in ROWS).encode(),
        "csv log.csv": table.encode(),
        "csv packed.csv.gz": gzip.compress(table.encode()),
        "long scores.csv": b"task,step,acc,acc_stderr\na_0,1,0.5,0.1\na_1,1,0.25,0.1\na_0,2,0.75,0.1\n",
        "events events.json": b'[{"x": 3, "kind": "restart"}]',
        "trainer state trainer_state.json": json.dumps(state).encode(),
        "lm-eval results_step3.json": json.dumps(result).encode(),
        "inspect step3.eval": archive(folder / "made.zip", log).read_bytes(),
        "inspect step3.json": json.dumps(log).encode(),
        "wandb run-1.wandb": wandb_log(*(wandb_row(_step=s, loss=4 - 0.1 * s) for s in range(12))),
        "arrays a.npz": npz(),
        "arrays a.npy": npy(),
        "text log.txt": TEXT,
        "yaml hparams.yaml": b"lr: 0.1\nopt:\n  value: {warmup_steps: 10, names: [a, b]}\n",
        "scan log.json": json.dumps([{"_step": s, "loss": 1.0 / (1 + s)} for s in range(12)]).encode(),
    }
