"""Every byte of a tensor, once: how many values are not finite, and a digest of them all.

Blocks are read and hashed by a few threads (both let go of the interpreter), so that a disk is read about as
fast as it can be. The digest is that of the blocks' digests, in order.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from opalesce.errors import FormatError

BLOCK = 1 << 21  # bytes
THREADS = min(4, os.cpu_count() or 1)
# bits of the exponent: a value is not finite where all of them are set
EXPONENT = {"F64": ("<u8", 0x7FF << 52), "F32": ("<u4", 0xFF << 23), "F16": ("<u2", 0x1F << 10)}
EXPONENT["BF16"] = ("<u2", 0xFF << 7)


def survey(path: Path, begin: int, end: int, dtype: str) -> tuple[int, bytes]:
    """(values that are not finite, digest) of the bytes from `begin` to `end` of a file.

    Raises
    ------
    FormatError
        The file ends before.
    OSError
        It cannot be read.
    """
    starts = range(begin, end, BLOCK)
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(THREADS) as pool:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), begin, end - begin, os.POSIX_FADV_SEQUENTIAL)
        found = list(pool.map(lambda s: _block(file.fileno(), s, min(s + BLOCK, end), dtype, path), starts))
    return sum(bad for bad, _ in found), hashlib.blake2b(b"".join(d for _, d in found)).digest()


def _block(handle: int, start: int, stop: int, dtype: str, path: Path) -> tuple[int, bytes]:
    parts, at = [], start
    while at < stop:
        part = os.pread(handle, stop - at, at)
        if not part:
            raise FormatError(f"{path}: the file has shrunk while it was read", expected=f"{stop} bytes")
        parts.append(part)
        at += len(part)
    raw = parts[0] if len(parts) == 1 else b"".join(parts)
    bad = 0
    if dtype in EXPONENT:
        unit, mask = EXPONENT[dtype]
        bits = np.frombuffer(raw, unit)
        bad = int(np.count_nonzero((bits & bits.dtype.type(mask)) == mask))
    return bad, hashlib.sha256(raw).digest()
