"""Eight-bit floats: against torch bit by bit, and with the scales of published layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from opalesce.errors import FormatError
from opalesce.runs.float8 import TABLES
from opalesce.runs.safetensors import SafetensorsCheckpoint


@pytest.mark.parametrize(("name", "dtype"), [("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2),
                                             ("F8_E8M0", torch.float8_e8m0fnu)])  # fmt: skip
def test_tables_equal_torch(name: str, dtype: torch.dtype) -> None:
    want = torch.arange(256, dtype=torch.int32).to(torch.uint8).view(dtype).float().numpy()
    assert np.array_equal(TABLES[name], want, equal_nan=True)


def saved(folder: Path, tensors: dict[str, torch.Tensor]) -> SafetensorsCheckpoint:
    save_file(tensors, folder / "model.safetensors")
    return SafetensorsCheckpoint(0, (folder / "model.safetensors",))


def quantised(w: torch.Tensor, block: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """F8 codes, the inverse scale of each block, and what they stand for: written out entry by entry."""
    rows, columns = w.shape[-2:]
    br, bc = block
    scale = torch.zeros(*w.shape[:-2], -(-rows // br), -(-columns // bc))
    code, value = torch.zeros_like(w).to(torch.float8_e4m3fn), torch.zeros_like(w)
    for i in range(scale.shape[-2]):
        for j in range(scale.shape[-1]):
            here = (..., slice(i * br, (i + 1) * br), slice(j * bc, (j + 1) * bc))
            s = w[here].abs().amax(dim=(-2, -1), keepdim=True) / 448
            code[here] = (w[here] / s).to(torch.float8_e4m3fn)
            value[here] = code[here].float() * s
            scale[..., i, j] = s[..., 0, 0]
    return code, scale, value


def agrees(c: SafetensorsCheckpoint, want: np.ndarray) -> None:
    """Every way of reading gives the same values."""
    assert np.array_equal(c.read("x.weight"), want)
    assert np.array_equal(c.read("x.weight", 1), want[1])
    rows = np.array([3, 0, want.reshape(-1, want.shape[-1]).shape[0] - 1])
    assert np.array_equal(c.rows("x.weight", rows), want.reshape(-1, want.shape[-1])[rows])
    assert np.array_equal(np.concatenate(list(c.stream("x.weight", 777))), want.ravel())
    from opalesce.runs.safetensors import sample_index

    assert np.array_equal(c.sample("x.weight"), want.ravel()[sample_index(want.size)])


@pytest.mark.parametrize("shape", [(300, 200), (128, 256), (3, 140, 130), (5, 4)])
def test_block_scales(tmp_path: Path, shape: tuple[int, ...]) -> None:
    w = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    code, scale, value = quantised(w, (128, 128))
    c = saved(tmp_path, {"x.weight": code, "x.weight_scale_inv": scale})
    agrees(c, value.numpy())
    error = float((value - w).norm() / w.norm())
    assert 0 < error < 2**-4  # three bits of mantissa: half a step is 1/16 of the value
    assert np.linalg.norm(c.read("x.weight") - w.numpy()) < 2**-4 * float(w.norm())


def test_one_scale_and_one_a_row(tmp_path: Path) -> None:
    w = torch.randn(40, 30, generator=torch.Generator().manual_seed(2))
    code, scale, value = quantised(w, (1, 30))
    for shape in ((40, 1), (40,)):
        agrees(saved(tmp_path, {"x.weight": code, "x.weight_scale": scale.reshape(shape)}), value.numpy())
    code, scale, value = quantised(w, (40, 30))
    for one in (scale.reshape(()), scale.reshape(1), scale.to(torch.bfloat16)):
        want = code.float() * one.float().reshape(1, 1)
        agrees(saved(tmp_path, {"x.weight": code, "x.weight_scale": one}), want.numpy())
    exact = torch.tensor([[2.0**-7]]).to(torch.float8_e8m0fnu)
    c = saved(tmp_path, {"x.weight": code, "x.weight_scale_inv": exact})
    agrees(c, (code.float() / 128).numpy())


def test_refused_without_a_scale_that_fits(tmp_path: Path) -> None:
    code = torch.randn(300, 200).to(torch.float8_e5m2)
    c = saved(tmp_path, {"x.weight": code})
    for read in (c.read, c.sample):
        with pytest.raises(FormatError, match="scales are not there") as caught:
            read("x.weight")
        assert "weight_scale_inv" in str(caught.value)
    assert len(c.digest("x.weight")) == 32  # bytes have an identity without their scales
    for odd in (torch.ones(7, 2), torch.ones(200), torch.ones(3, 2, 1)):
        with pytest.raises(FormatError, match="another shape"):
            saved(tmp_path, {"x.weight": code, "x.weight_scale_inv": odd}).read("x.weight")
