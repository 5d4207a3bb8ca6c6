"""Gram spectra and histograms on a GPU, as shares of what the card does in the same run. Prints JSON.

Not part of `make bench`: it needs CUDA. `python -m benchmarks.gpu`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable

import numpy as np
import torch

from opalesce.measure.gpu import gpu_spectrum, gram, magnitude_histogram
from opalesce.observables.spectra import spectrum


def milliseconds(work: Callable[[], object], repeats: int = 9) -> float:
    """Median of device times after warming up."""
    for _ in range(3):
        work()
    found = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        found.append(start.elapsed_time(end))
    return statistics.median(found)


def main() -> None:
    """Rates of the card, ours, their ratio, and agreement with the CPU."""
    torch.manual_seed(0)
    out: dict[str, object] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.float64)
    matrix = 2 * 8192**3 / milliseconds(lambda: a @ a, 5) / 1e9
    w = (0.02 * torch.randn(32768, 8192, device="cuda")).bfloat16()
    ours = 2 * 32768 * 8192**2 / milliseconds(lambda: gram(w), 5) / 1e9
    out["gram"] = {"card_tflops": matrix, "ours_tflops": ours, "share": ours / matrix}
    for kind in (torch.bfloat16, torch.float32):
        x = (0.02 * torch.randn(1 << 30, device="cuda")).to(kind)
        y = torch.empty_like(x)
        size = x.numel() * x.element_size()
        card = 2 * size / milliseconds(lambda x=x, y=y: y.copy_(x)) / 1e6  # GB/s, bytes read and written
        mine = size / milliseconds(lambda x=x: magnitude_histogram(x)) / 1e6
        out[f"histogram {kind}"] = {"card_gb_s": card, "ours_gb_s": mine, "share": mine / card}
        small = x[: 1 << 22]
        gpu, cpu = magnitude_histogram(small)[1], magnitude_histogram(small.cpu())[1]
        out[f"histogram {kind} equal"] = bool(np.array_equal(gpu, cpu))
        del x, y
    small = (0.02 * torch.randn(2048, 1024, device="cuda")).float()
    one, two = gpu_spectrum(small).values, spectrum(small.cpu().numpy()).values
    out["spectrum, largest difference over the largest value"] = float(np.abs(one - two).max() / two[0])
    torch.cuda.synchronize()
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
