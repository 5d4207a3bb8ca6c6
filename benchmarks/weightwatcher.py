"""WeightWatcher's own quantities, ours against WeightWatcher: plain, and with shuffled spectra and MP fits.

37 matrices, 21 million weights, heavy-tailed entries plus planted directions, on one thread. Both sides start
from float32 arrays in memory. Ours computes every column of the peer's table that is a number, the Marchenko-
Pastur fit included in both rows; the peer's plain row has no such fit.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.figures import Figure, seconds

SAME = {
    "alpha": "alpha",
    "sigma": "alpha_stderr",
    "D": "D",
    "xmin": "xmin",
    "alpha_weighted": "alpha_weighted",
    "log_alpha_norm": "log_alpha_norm",
    "log_norm": "log_norm",
    "log_spectral_norm": "log_spectral_norm",
    "stable_rank": "stable_rank",
    "entropy": "entropy",
}


def matrices(layers: int, width: int) -> list[np.ndarray]:
    """Six a layer as in a transformer block, and an unembedding; noise with a few strong directions."""
    r = np.random.default_rng(0)
    shapes = [(width, width)] * 4 + [(4 * width, width), (width, 4 * width)]
    made = []
    for n, m in [*shapes * layers, (4 * width, width)]:
        noise = r.standard_normal((n, m)) / np.sqrt(max(n, m))
        k = 24
        left, right = r.standard_normal((n, k)) / np.sqrt(n), r.standard_normal((k, m)) / np.sqrt(m)
        made.append((noise + (left * (1 + 4 * np.arange(1, k + 1) ** -0.5)) @ right).astype(np.float32))
    return made


def _ours(weights: list[np.ndarray], randomize: bool) -> list[Any]:
    from opalesce.observables.randomised import randomised
    from opalesce.observables.weightwatcher import details, layer

    rng = np.random.default_rng(1)
    rows = []
    for w in weights:
        real = layer(w)
        rows.append((details(real), randomised(w, rng, real) if randomize else None))
    return rows


def _quiet(work: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return work()


def _watcher(weights: list[np.ndarray]) -> Any:
    import torch
    import weightwatcher

    torch.set_num_threads(1)
    logging.getLogger("weightwatcher").setLevel(logging.CRITICAL)
    net = torch.nn.Sequential()
    for w in weights:
        linear = torch.nn.Linear(1, 1, bias=False)
        linear.weight.data = torch.tensor(w)
        net.append(linear)
    return weightwatcher.WeightWatcher(model=net, log_level=logging.CRITICAL)


def figures(quick: bool = False) -> Iterator[Figure]:
    """CPU time on one thread, and how far the common columns are apart."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = matrices(1, 128) if quick else matrices(6, 512)
        watcher = _quiet(lambda: _watcher(weights))
        what = f"{len(weights)} matrices, {sum(w.size for w in weights) / 1e6:.0f} M weights"
        table: list[Any] = []

        def plain() -> None:
            table[:] = [_quiet(lambda: watcher.analyze(plot=False, randomize=False))]

        def full() -> None:
            _quiet(lambda: watcher.analyze(plot=False, randomize=True, mp_fit=True, detX=True))

        yield Figure(
            "weightwatcher",
            f"{what}: all its quantities (ours with the Marchenko-Pastur fit)",
            "WeightWatcher 0.7.7 analyze(plot=False, randomize=False)",
            "CPU s",
            seconds(lambda: _ours(weights, False), 2),
            seconds(plain, 2),
        )
        rows = _ours(weights, False)
        mine = {k: np.array([getattr(d, v) for d, _ in rows]) for k, v in SAME.items()}
        apart = max(float(np.max(np.abs(mine[k] / table[0][k].to_numpy(float) - 1))) for k in SAME)
        assert apart < 1e-6, apart
        yield Figure(
            "weightwatcher",
            f"largest relative difference over {len(SAME)} common quantities, against 1e-6 allowed",
            "WeightWatcher 0.7.7",
            "1",
            apart,
            1e-6,
        )
        yield Figure(
            "weightwatcher",
            f"{what}: with shuffled spectra, Marchenko-Pastur fits and detX",
            "WeightWatcher 0.7.7 analyze(randomize=True, mp_fit=True, detX=True)",
            "CPU s",
            seconds(lambda: _ours(weights, True), 2),
            _once(full),
        )


def _once(work: Any) -> float:
    """One timed run without a warm-up: the peer takes minutes, and is warm from the rows above."""
    import time

    start = time.process_time()
    work()
    return time.process_time() - start
