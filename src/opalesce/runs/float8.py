"""Eight-bit floats: decoded from their bits by tables, and never without the scales they were stored with.

E4M3 (safetensors' F8_E4M3): sign, 4 bits of exponent with bias 7, 3 of mantissa; no infinity, S.1111.111 is
NaN. E5M2: as IEEE 754 would, with bias 15. E8M0: 2^(e - 127), a scale; 255 is NaN.

The scale of tensor `x` is `x_scale_inv` or `x_scale`, and values are multiplied by it: one number for the
tensor, one for each row, or one for each block of `BLOCK` times `BLOCK` entries (DeepSeek-V3, arXiv
2412.19437, section 3.3); smaller or larger blocks are told from the shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SUFFIXES = ("_scale_inv", "_scale")
BLOCKS = (128, 64, 32, 256, 16, 512)


def _table(exponent: int, mantissa: int, bias: int, top_is_special: bool) -> NDArray[np.float32]:
    """All 256 values of sign, exponent, mantissa, from the highest bit down."""
    code = np.arange(256)
    e = (code >> mantissa) & ((1 << exponent) - 1)
    m = code & ((1 << mantissa) - 1)
    part = m / (1 << mantissa)
    size = np.where(e == 0, part * 2.0 ** (1 - bias), (1 + part) * 2.0 ** (e.astype(float) - bias))
    top = e == (1 << exponent) - 1
    if top_is_special:
        size = np.where(top, np.where(m == 0, np.inf, np.nan), size)
    else:
        size = np.where(top & (m == (1 << mantissa) - 1), np.nan, size)
    return np.asarray(np.where(code >= 128, -size, size), np.float32)


with np.errstate(over="ignore"):
    TABLES: dict[str, NDArray[np.float32]] = {
        "F8_E4M3": _table(4, 3, 7, False),
        "F8_E5M2": _table(5, 2, 15, True),
        "F8_E8M0": np.asarray(np.append(2.0 ** (np.arange(255) - 127.0), np.nan), np.float32),
    }


@dataclass(frozen=True)
class Scale:
    """Scales of a tensor of shape `shape`: `values` has one entry for each block of `block` entries a side.

    `block` is (rows, columns) of a block along the last two sides.
    """

    shape: tuple[int, ...]
    values: NDArray[np.float32]
    block: tuple[int, int]

    def at(self, flat: NDArray[np.integer]) -> NDArray[np.float32]:
        """The scale of each entry, by its place in the flat tensor."""
        rows, columns = self.shape[-2:] if len(self.shape) > 1 else (1, self.shape[-1] if self.shape else 1)
        slab, rest = np.divmod(flat, rows * columns)
        r, c = np.divmod(rest, columns)
        own = slab if len(self.values) > 1 else 0
        return np.asarray(self.values[own, r // self.block[0], c // self.block[1]])

    def onto(self, w: NDArray[np.float32]) -> None:
        """Multiply a whole tensor in place, block row by block row."""
        rows, columns = w.shape[-2:] if w.ndim > 1 else (1, w.size)
        slabs = w.reshape(-1, rows, columns)
        for k in range(len(slabs)):
            for i, line in enumerate(self.values[k if len(self.values) > 1 else 0]):
                wide = np.repeat(line, self.block[1])[:columns]
                slabs[k, i * self.block[0] : (i + 1) * self.block[0]] *= wide


def scale_of(shape: tuple[int, ...], values: NDArray[np.float32]) -> Scale | None:
    """How `values` lie over a tensor of this shape; None where that cannot be told."""
    rows, columns = shape[-2:] if len(shape) > 1 else (1, shape[-1] if shape else 1)
    whole = (max(1, rows), max(1, columns))
    if values.size == 1:
        return Scale(shape, values.reshape(1, 1, 1), whole)
    slabs = int(np.prod(shape[:-2], dtype=np.int64)) if len(shape) > 2 else 1
    if slabs > 1 and values.size == slabs:
        return Scale(shape, values.reshape(slabs, 1, 1), whole)
    if values.size == slabs * rows and values.shape in ((*shape[:-1],), (*shape[:-1], 1)):
        return Scale(shape, values.reshape(slabs, rows, 1), (1, whole[1]))
    if values.ndim != len(shape) or values.shape[:-2] != shape[:-2]:
        return None
    for b in BLOCKS:
        if values.shape[-2:] == (-(-rows // b), -(-columns // b)):
            return Scale(shape, values.reshape(slabs, *values.shape[-2:]), (b, b))
    return None
