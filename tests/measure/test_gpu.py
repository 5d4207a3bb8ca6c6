"""Histograms and spectra through torch against numpy's, here on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.spectra import spectrum

torch = pytest.importorskip("torch")
from opalesce.measure import gpu  # noqa: E402

TYPES = ("float32", "bfloat16", "float16")


def drawn(kind: str, n: int = 5001) -> torch.Tensor:
    """Numbers of all sizes and both signs, with zeros, subnormals and the largest of the type."""
    dtype = getattr(torch, kind)
    generator = torch.Generator().manual_seed(3)
    size = torch.empty(n, dtype=torch.float64).uniform_(-12, 9, generator=generator)
    x = torch.randn(n, generator=generator, dtype=torch.float64) * 2**size
    info = torch.finfo(dtype)
    small = torch.tensor([0.0, -0.0, 1.0, -2.0, 5.0]) * info.smallest_normal / 8
    ends = torch.tensor([info.max, info.min, info.smallest_normal], dtype=torch.float64)
    return torch.cat([x, small.double(), ends]).to(dtype)


@pytest.mark.parametrize("kind", TYPES)
def test_the_histogram_is_numpys(kind):
    x = drawn(kind)
    edges, counts = gpu.magnitude_histogram(x)
    size = x.double().abs().numpy()
    assert np.array_equal(counts, np.histogram(size, [*edges, np.inf])[0])
    assert counts.sum() == x.numel()
    assert (size == 0).sum() == 2
    assert counts[0] >= 2
    info = torch.finfo(getattr(torch, kind))
    assert ((size > 0) & (size < info.smallest_normal)).sum() >= 3  # subnormals were there to count


@pytest.mark.parametrize("kind", TYPES)
def test_eight_classes_an_octave(kind):
    edges, _ = gpu.magnitude_histogram(drawn(kind))
    assert edges[0] == 0
    octave = edges[(edges >= 1) & (edges < 2)]
    assert octave.tolist() == [1 + k / 8 for k in range(8)]
    assert (np.diff(edges) > 0).all()


def test_columns_apart_in_memory_are_counted_once():
    x = drawn("float32")[:5000].view(50, 100)
    part = x[:, ::3]
    assert np.array_equal(gpu.magnitude_histogram(part)[1], gpu.magnitude_histogram(part.contiguous())[1])
    assert gpu.magnitude_histogram(part)[1].sum() == part.numel()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_not_finite_is_refused(kind, bad):
    x = drawn(kind)
    x[7] = bad
    with pytest.raises(InputError, match="not finite"):
        gpu.magnitude_histogram(x)
    with pytest.raises(InputError, match="not a finite matrix"):
        gpu.gpu_spectrum(x[:5000].view(50, 100))


def test_a_nan_whose_last_bits_alone_say_so_is_refused():
    code = torch.tensor([0x7F81, 0x3F80], dtype=torch.int16)
    with pytest.raises(InputError, match="1 are not"):
        gpu.magnitude_histogram(code.view(torch.bfloat16))


def test_other_types_are_refused():
    with pytest.raises(InputError, match="float64"):
        gpu.magnitude_histogram(torch.zeros(3, dtype=torch.float64))
    for bad in (torch.zeros(3), torch.zeros(0, 3), torch.zeros(2, 2, dtype=torch.int32)):
        with pytest.raises(InputError, match="not a finite matrix"):
            gpu.gpu_spectrum(bad)


@pytest.mark.parametrize("shape", [(120, 40), (40, 120), (60, 60), (1, 9)])
@pytest.mark.parametrize("kind", [*TYPES, "float64"])
def test_the_spectrum_is_that_of_numpy(shape, kind):
    w = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    w = w.to(getattr(torch, kind))
    mine, theirs = gpu.gpu_spectrum(w), spectrum(w.double().numpy())
    assert mine.shape == theirs.shape == shape
    assert mine.values == pytest.approx(theirs.values, abs=1e-9 * theirs.values[0])
    assert mine.floor == pytest.approx(theirs.floor)


def test_blocks_change_nothing_and_a_low_rank_ends_in_zeros():
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(90, 3, generator=generator) @ torch.randn(3, 30, generator=generator)
    assert torch.allclose(gpu.gram(w, 7), gpu.gram(w), rtol=1e-12, atol=1e-10)
    s = gpu.gpu_spectrum(w.double())
    assert (s.values[:3] > s.floor).all()
    assert s.values[3] < 1e-5 * s.values[0]
    assert gpu.gpu_spectrum(torch.zeros(4, 3)).values.tolist() == [0, 0, 0]
