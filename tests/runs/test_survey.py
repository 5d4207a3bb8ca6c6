"""One reading of every byte: the count is exact for every dtype, and the digest sees every bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import FormatError
from opalesce.runs.safetensors import checkpoint, write
from opalesce.runs.survey import BLOCK, survey

SIZE = 3 * BLOCK // 4 + 5  # of float32: more than two blocks, the last one ragged


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<f2"])
def test_values_that_are_not_finite_are_counted_wherever_they_are(tmp_path: Path, dtype: str):
    x = np.random.default_rng(0).normal(size=SIZE).astype(dtype)
    at = [0, 1, SIZE // 2, SIZE - 1]
    x[at] = [np.nan, np.inf, -np.inf, np.nan]
    file = write(tmp_path / "x.safetensors", {"w": x})
    assert checkpoint(file, 0).survey("w")[0] == len(at)


def test_bfloat16_and_integers(tmp_path: Path):
    bits = np.array([0x7F80, 0xFF80, 0x7FC1, 0x7F7F, 0x0000, 0x8000], "<u2")  # inf, -inf, NaN, largest, zeros
    raw = tmp_path / "raw"
    raw.write_bytes(bits.tobytes())
    assert survey(raw, 0, 12, "BF16")[0] == 3
    assert survey(raw, 0, 12, "U16")[0] == 0
    assert survey(raw, 4, 8, "BF16")[0] == 1


def test_the_digest_sees_one_flipped_bit_in_any_block(tmp_path: Path):
    x = np.zeros(SIZE, np.float32)
    seen = {checkpoint(write(tmp_path / "x.safetensors", {"w": x}), 0).digest("w", full=True)}
    for place in (0, BLOCK // 4 - 1, BLOCK // 4, SIZE - 1):
        y = x.copy()
        y.view(np.uint32)[place] = 1
        seen.add(checkpoint(write(tmp_path / "x.safetensors", {"w": y}), 0).digest("w", full=True))
    assert len(seen) == 5


def test_a_file_that_ends_early(tmp_path: Path):
    raw = tmp_path / "raw"
    raw.write_bytes(b"\0" * 100)
    with pytest.raises(FormatError, match="shrunk"):
        survey(raw, 0, 200, "F32")
