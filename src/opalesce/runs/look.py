"""One look at each tensor of each checkpoint: identity, sanity, and a few values."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.runs.check import Finding
from opalesce.runs.hub import HubCheckpoint
from opalesce.runs.lent import Lent
from opalesce.runs.run import Checkpoint, Run, TensorInfo
from opalesce.runs.safetensors import SafetensorsCheckpoint, sample_index

Sampled = SafetensorsCheckpoint | Lent  # readers that give parts of a tensor

LOGGER = logging.getLogger(__name__)
VALUES = 65536  # values a checkpoint that are kept for the test of order


@dataclass(frozen=True)
class TensorLook:
    """What one look at a tensor showed. `constant` is its only value, or None."""

    info: TensorInfo
    digest: str
    bad: int
    seen: int
    constant: float | None
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Look:
    """What one look at a checkpoint showed."""

    checkpoint: Checkpoint
    tensors: dict[str, TensorLook] = field(default_factory=dict)

    @property
    def step(self) -> float:
        """Place on the control axis."""
        return self.checkpoint.step

    @property
    def file(self) -> str:
        """The first file that holds it."""
        return str(self.checkpoint.paths[0]) if self.checkpoint.paths else ""

    @property
    def identity(self) -> str:
        """Digest of all tensors: equal for checkpoints of equal content, whatever their files."""
        h = hashlib.blake2b(digest_size=16)
        for name, t in sorted(self.tensors.items()):
            h.update(f"{name}={t.digest};".encode())
        return h.hexdigest()


def look(
    run: Run, full: bool = False, progress: Callable[[str, int, int], None] | None = None
) -> tuple[list[Look], list[Finding]]:
    """Look at every checkpoint; what cannot be read becomes a finding and the rest goes on."""
    looks: list[Look] = []
    bad: list[Finding] = []
    total = len(run.checkpoints)
    for k, c in enumerate(run.checkpoints):
        try:
            infos = c.tensors()
        except (InputError, OSError) as error:
            bad.append(_broken(run, c, error, k, total))
            continue
        one = Look(c)
        keep = max(16, min(512, VALUES // max(1, len(infos))))
        for name, info in infos.items():
            try:
                if isinstance(c, HubCheckpoint) and not full:  # the hub states identities: no download
                    one.tensors[name] = TensorLook(
                        info, c.promised(name), 0, 0, None, np.empty(0, np.float32)
                    )
                else:
                    one.tensors[name] = _tensor(c, name, info, keep, full)
            except (InputError, OSError) as error:
                bad.append(_broken(run, c, error, k, total, name))
        looks.append(one)
        LOGGER.info("%s: looked at step %g, %d of %d", run.name, c.step, k + 1, total)
        if progress is not None:
            progress(run.name, k + 1, total)
    if not full and any(isinstance(k.checkpoint, HubCheckpoint) for k in looks):
        bad.append(_unread(run, looks))
    return looks, bad


def _unread(run: Run, looks: list[Look]) -> Finding:
    return Finding(
        "values not read",
        "note",
        run.name,
        expected="a look at the values of every tensor",
        seen=f"names, shapes and SHA-256 of {len(looks)} checkpoints on the hub; nothing was downloaded",
        fix="opalesce check --full downloads and reads every byte",
    )


def _broken(run: Run, c: Checkpoint, error: Exception, k: int, total: int, tensor: str = "") -> Finding:
    expected = getattr(error, "expected", "") or "a readable checkpoint"
    what, got = getattr(error, "what", str(error)), getattr(error, "got", "")
    path = next((str(p) for p in c.paths if what.startswith(str(p))), str(c.paths[0]) if c.paths else "")
    seen = what.removeprefix(f"{path}: ") + (f": {got}" if got else "") + f" ({k + 1} of {total})"
    return Finding(
        "unreadable tensor" if tensor else "bad file",
        "fault",
        run.name,
        path,
        tensor,
        c.step,
        (c.step,),
        expected,
        seen,
        getattr(error, "fix", "") or "fetch the file again, or leave this step out",
        "a hole at this step: two steps merged into one jump",
    )


def _tensor(c: Checkpoint, name: str, info: TensorInfo, keep: int, full: bool) -> TensorLook:
    sample = c.sample(name) if isinstance(c, Sampled) else _sample(c.read(name))
    real = sample.dtype.kind == "f"
    bad = int(np.count_nonzero(~np.isfinite(sample))) if real else 0
    constant = float(sample.flat[0]) if sample.size and np.all(sample == sample.flat[0]) else None
    size = int(np.prod(info.shape, dtype=np.int64))
    seen = sample.size
    if isinstance(c, Sampled):
        if full:
            bad, digest = c.survey(name)
        else:
            digest = c.digest(name)
    else:
        content = np.ascontiguousarray(c.read(name)) if full else sample
        if full and real:
            bad = int(np.count_nonzero(~np.isfinite(content)))
        words = f"{info.dtype}{info.shape}".encode() + content.tobytes()
        digest = hashlib.blake2b(words, digest_size=16).hexdigest()
    if full or constant is not None:
        seen = size
    if constant is not None and size > sample.size:
        bad, constant = _whole(c, name, constant)
    pick = np.linspace(0, sample.size - 1, min(keep, sample.size)).astype(int)
    values = sample[pick].astype(np.float32) if real else np.empty(0, np.float32)
    return TensorLook(info, digest, bad, seen, constant, values)


def _sample(array: NDArray[np.generic]) -> NDArray[np.generic]:
    flat = array.ravel()
    return flat[sample_index(flat.size)]


def _pieces(c: Checkpoint, name: str) -> Iterator[NDArray[np.generic]]:
    if isinstance(c, Sampled):
        yield from c.stream(name)
    else:
        yield c.read(name).ravel()


def _whole(c: Checkpoint, name: str, constant: float) -> tuple[int, float | None]:
    """Non-finite count of a tensor whose sample is constant, and whether it all is."""
    bad, all_equal = 0, True
    for piece in _pieces(c, name):
        if piece.dtype.kind == "f":
            bad += int(np.count_nonzero(~np.isfinite(piece)))
        all_equal = all_equal and bool(np.all(piece == constant))
    return bad, constant if all_equal else None
