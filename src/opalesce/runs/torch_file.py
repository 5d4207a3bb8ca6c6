"""Checkpoints in torch pickles (.pt, .pth, .bin), only where the user allows it.

A pickle is a program. It is opened by a child process (`runs.torch_child`) with limits of memory, time and
output, an empty environment and, where the kernel permits it to an ordinary user, no network; `weights_only`
is not taken for a wall by itself (CVE-2025-32434, CVE-2026-24747: torch below 2.10 is refused). The child
writes safetensors into a private folder of this user; this process reads nothing else. Converted files stay
there, so that a second look costs nothing: `OPALESCE_CACHE` says where (by default ~/.cache/opalesce).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from opalesce.errors import FormatError, InputError, MissingExtra
from opalesce.runs.converted import target
from opalesce.runs.lent import Lent
from opalesce.runs.safetensors import SafetensorsCheckpoint, glance

LEAST = (2, 10)
MEMORY = 6 << 30  # bytes of address space for torch itself; four times the file comes on top
SECONDS, PER_GB = 60, 30  # of processor time and of the clock
SAID = 4000  # bytes of the child's answer that are looked at


@dataclass(frozen=True)
class TorchCheckpoint(Lent):
    """One saved state in a torch pickle or several shards. Satisfies `opalesce.runs.run.Checkpoint`."""

    step: float
    paths: tuple[Path, ...]
    tokens: float | None = field(default=None, compare=False)

    @cached_property
    def whole(self) -> SafetensorsCheckpoint:
        """Its tensors, converted by a child process.

        Raises
        ------
        FormatError
            The file is not a plain state of weights, or the child was stopped by its limits.
        MissingExtra, InputError
            torch is missing or older than 2.10.
        """
        return SafetensorsCheckpoint(self.step, tuple(converted(p) for p in self.paths), self.tokens)

    def fingerprint(self) -> str:
        """blake2b of size, modification time and sampled blocks of each file (hex); it is not opened."""
        h = hashlib.blake2b(b"torch", digest_size=16)
        for path in self.paths:
            h.update(glance(path))
        return h.hexdigest()


def converted(path: Path, memory: int = MEMORY, seconds: int = SECONDS) -> Path:
    """The safetensors file made of a torch pickle; made once for each name, size and time of it.

    Raises
    ------
    FormatError, MissingExtra, InputError
        See `TorchCheckpoint.whole`.
    """
    _torch_is_new()
    out = target(path)
    size = path.stat().st_size
    if not out.exists():
        limit = memory + 4 * size
        told = _child(path, out, limit, seconds + PER_GB * (size >> 30))
        if told or not out.exists():
            raise FormatError(
                f"{path}: {told.get('what') or 'the child left no file'}",
                expected=told.get("expected", "") or "a torch file that holds weights",
                got=told.get("got", ""),
                fix=told.get("fix", "") or "convert it to safetensors where you trust it, or leave it out",
            )
    return out


def _child(path: Path, out: Path, memory: int, seconds: int) -> dict[str, str]:
    """What the child says went wrong; empty when nothing did."""
    words = [
        "-I",
        "-m",
        "opalesce.runs.torch_child",
        str(path.resolve()),
        str(out),
        str(memory),
        str(seconds),
    ]
    keep = {k: v for k, v in os.environ.items() if k in ("LANG", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")}
    keep |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    try:
        done = subprocess.run(
            [sys.executable, *words],
            env=keep,
            cwd=out.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2 * seconds,
        )
    except subprocess.TimeoutExpired:
        return {"what": "reading it takes too long: stopped", "got": f"more than {2 * seconds} s"}
    finally:
        for left in out.parent.glob(f".{out.name}.*.tmp"):
            left.unlink(missing_ok=True)
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        return {"what": "the process that read it was stopped by its limits, or broke", "got": how}
    try:
        told = json.loads(done.stdout[-SAID:].decode("ascii", "replace").strip().rpartition("\n")[2])
        return {str(k): ascii(str(v))[1:-1][:300] for k, v in told.items()}
    except (ValueError, AttributeError):
        return {"what": "the process that read it gave no answer"}


def _torch_is_new() -> None:
    try:
        text = version("torch")
    except PackageNotFoundError:
        raise MissingExtra("torch", "torch") from None
    if tuple(int(n) for n in re.findall(r"\d+", text)[:2]) < LEAST:
        raise InputError(
            "this torch opens pickles in a way that can be broken (CVE-2026-24747)",
            expected=f"torch {'.'.join(map(str, LEAST))} or newer",
            got=f"torch {text}",
            fix="pip install 'torch>=2.10', or convert the file to safetensors",
        )
