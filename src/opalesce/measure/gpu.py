r"""Spectra and histograms of large weights through torch, on a GPU when there is one.

The Gram matrix is summed in float64 and agrees with `observables.spectra.spectrum` to 1e-9 of the largest
singular value. The histogram of magnitudes counts the bits of the numbers themselves (exponent and first
mantissa bits are a logarithmic scale), so it is exact; one pass over memory with a small kernel on CUDA, a
few passes in plain torch elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError, MissingExtra
from opalesce.observables.spectra import Spectrum, of_gram

PER_OCTAVE = 8
_LAYOUT = {"bfloat16": (16, 7), "float16": (16, 10), "float32": (32, 23)}  # bits, mantissa bits


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    return torch


def device() -> str:
    """ "cuda" where a GPU can be used, else "cpu"."""
    return "cuda" if _torch().cuda.is_available() else "cpu"


def gram(w: Any, block: int = 1 << 14) -> Any:
    """W^T W on the smaller side in float64, by blocks of the longer: a torch tensor on the device of `w`."""
    torch = _torch()
    tall = w if w.shape[0] >= w.shape[1] else w.T
    out = torch.zeros((tall.shape[1], tall.shape[1]), dtype=torch.float64, device=w.device)
    for start in range(0, tall.shape[0], block):
        rows = tall[start : start + block].to(torch.float64)
        out.addmm_(rows.T, rows)
    return out


def gpu_spectrum(w: Any) -> Spectrum:
    """Singular values of a torch matrix, as `observables.spectra.spectrum` gives them.

    Raises
    ------
    InputError
        Not a finite floating matrix.
    """
    torch = _torch()
    if w.ndim != 2 or not w.is_floating_point() or not w.numel() or not bool(torch.isfinite(w).all()):
        raise InputError(
            "not a finite matrix", expected="two sides, floating", got=f"{tuple(w.shape)}, {w.dtype}"
        )
    eigenvalues = torch.linalg.eigvalsh(gram(w)).cpu().numpy()
    return of_gram(eigenvalues, (int(w.shape[0]), int(w.shape[1])))


def magnitude_histogram(w: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Lower edges of classes of |w|, 8 an octave, and counts of all entries; zeros and subnormals come first.

    Parameters
    ----------
    w : torch tensor, bfloat16, float16 or float32, contiguous

    Raises
    ------
    InputError
        Another dtype; entries that are not finite.
    """
    torch = _torch()
    kind = str(w.dtype).removeprefix("torch.")
    if kind not in _LAYOUT:
        raise InputError("no histogram of this dtype", expected=", ".join(_LAYOUT), got=kind)
    bits, mantissa = _LAYOUT[kind]
    shift, classes = mantissa - 3, 1 << (bits - 1 - (mantissa - 3))
    flat = w.contiguous().view(-1).view(torch.int16 if bits == 16 else torch.int32)
    counts = _cuda_counts(flat, bits, shift, classes) if flat.is_cuda else None
    if counts is None:
        mask = (1 << (bits - 1)) - 1
        counts = torch.bincount((flat.bitwise_and(mask) >> shift).long(), minlength=classes)
    found = counts.cpu().numpy().astype(np.int64)
    edges = _edges(kind, shift, classes)
    bad = int(found[~np.isfinite(edges)].sum())
    if bad:
        raise InputError("entries are not finite", expected="finite numbers", got=f"{bad} are not")
    return edges[np.isfinite(edges)], found[np.isfinite(edges)]


def _edges(kind: str, shift: int, classes: int) -> NDArray[np.float64]:
    """The numbers whose bits are those of each class; those that stand for no number become NaN."""
    codes = np.arange(classes, dtype=np.uint32) << np.uint32(shift)
    if kind == "float16":
        edges = codes.astype(np.uint16).view(np.float16)
    else:
        edges = (codes << np.uint32(16 if kind == "bfloat16" else 0)).view(np.float32)
    with np.errstate(invalid="ignore"):  # signalling NaN
        return np.asarray(edges.astype(np.float64))


def _cuda_counts(flat: Any, bits: int, shift: int, classes: int) -> Any:
    """Counts in one pass on CUDA; None where torch cannot compile the kernel (before 2.9)."""
    torch = _torch()
    compiler = getattr(torch.cuda, "_compile_kernel", None)
    words = flat.view(torch.int32) if bits == 16 and flat.numel() % 2 == 0 else flat
    if compiler is None or words.element_size() != 4 or words.numel() >= 1 << 31:
        return None
    kernel = _KERNELS.get(bits)
    if kernel is None:
        kernel = _KERNELS[bits] = compiler(_SOURCE.replace("BITS", str(bits)), "count")
        kernel.set_shared_memory_config(COPIES * 2048 * 4)
    out = torch.zeros(classes, dtype=torch.int64, device=flat.device)
    blocks = torch.cuda.get_device_properties(flat.device).multi_processor_count
    kernel((blocks, 1, 1), (1024, 1, 1), (words, out, words.numel(), shift, classes), COPIES * classes * 4)
    return out


# Magnitudes crowd in a few classes, so one table would be a queue. Each of 16 lanes has a table of its own,
# laid out so that at most two lanes of a warp meet in one bank.
COPIES = 16
_KERNELS: dict[int, Any] = {}
_SOURCE = """
extern "C" __global__ void count(
    const unsigned int* x, unsigned long long* out, int n, int shift, int classes)
{
    extern __shared__ unsigned int table[];
    for (int i = threadIdx.x; i < 16 * classes; i += blockDim.x) table[i] = 0;
    __syncthreads();
    unsigned int lane = threadIdx.x & 15;
    long long step = (long long)gridDim.x * blockDim.x;
    long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const uint4* four = reinterpret_cast<const uint4*>(x);
    for (long long i = first; i < n / 4; i += step) {
        uint4 v = four[i];
        unsigned int w[4] = {v.x, v.y, v.z, v.w};
        for (int k = 0; k < 4; ++k) {
            if (BITS == 16) {
                atomicAdd(&table[((w[k] & 0x7fffu) >> shift) * 16 + lane], 1u);
                atomicAdd(&table[(((w[k] >> 16) & 0x7fffu) >> shift) * 16 + lane], 1u);
            } else {
                atomicAdd(&table[((w[k] & 0x7fffffffu) >> shift) * 16 + lane], 1u);
            }
        }
    }
    for (long long i = (n / 4) * 4 + first; i < n; i += step) {
        unsigned int w = x[i];
        if (BITS == 16) {
            atomicAdd(&table[((w & 0x7fffu) >> shift) * 16 + lane], 1u);
            atomicAdd(&table[(((w >> 16) & 0x7fffu) >> shift) * 16 + lane], 1u);
        } else {
            atomicAdd(&table[((w & 0x7fffffffu) >> shift) * 16 + lane], 1u);
        }
    }
    __syncthreads();
    for (int c = threadIdx.x; c < classes; c += blockDim.x) {
        unsigned long long sum = 0;
        for (int k = 0; k < 16; ++k) sum += table[c * 16 + k];
        if (sum) atomicAdd(&out[c], sum);
    }
}
"""
