"""Spectra of a model of 37 matrices: our sweep, file to numbers, against WeightWatcher in memory."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, seconds

SPECTRAL = [
    "spectral_norm",
    "stable_rank",
    "participation_ratio",
    "entropy_effective_rank",
    "mp_outliers",
]


def model(layers: int) -> Any:
    """Plain stack of linear layers: 6 a layer, 256 to 1024 wide, and an unembedding; weights not trained."""
    import torch

    torch.manual_seed(0)
    sizes = [(256, 256), (256, 256), (256, 256), (256, 256), (256, 1024), (1024, 256)] * layers
    return torch.nn.Sequential(*(torch.nn.Linear(a, b, bias=False) for a, b in [*sizes, (256, 1024)]))


def figures(quick: bool = False) -> Iterator[Figure]:
    """CPU time on one thread, and the agreement of what both compute."""
    import opalesce
    from opalesce.runs.safetensors import write

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        import torch

        torch.set_num_threads(1)
        net = model(1 if quick else 6)
        run = Path(folder) / "run"
        run.mkdir()
        weights = {f"layer{i}.weight": layer.weight.detach().numpy() for i, layer in enumerate(net)}
        write(run / "step0.safetensors", weights)
        peer, details = _weightwatcher(net)
        ours = seconds(lambda: opalesce.measure(run, SPECTRAL))
        theirs = seconds(peer, 1 if quick else 2)
        yield Figure(
            "spectra",
            f"{len(weights)} matrices, 5 spectral observables from file, against analyze() with its "
            "power-law fits",
            "WeightWatcher 0.7.7 analyze(plot=False, randomize=False)",
            "CPU s",
            ours,
            theirs,
        )
        ds = opalesce.measure(run, SPECTRAL)
        assert len(details) == len(weights), "the peer left matrices out"
        mine = ds["stable_rank"].sel(step=0, module=list(weights)).values
        gap = float(np.max(np.abs(mine / details["stable_rank"].to_numpy() - 1)))
        exact = np.array([_exact(w) for w in weights.values()])
        yield Figure(
            "spectra",
            "stable rank: largest relative error against numpy's SVD in float64",
            "WeightWatcher 0.7.7 stable_rank",
            "1",
            float(np.max(np.abs(mine / exact - 1))),
            float(np.max(np.abs(details["stable_rank"].to_numpy() / exact - 1))),
        )
        assert gap < 1e-3, gap


def _exact(w: np.ndarray) -> float:
    s = np.linalg.svd(w.astype(np.float64), compute_uv=False)
    return float((s**2).sum() / s[0] ** 2)


def _quiet(work: Any) -> Any:
    """The peer prints and logs; its warnings are its own."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return work()


def _weightwatcher(net: Any) -> tuple[Any, Any]:
    def load() -> Any:
        import weightwatcher

        logging.getLogger("weightwatcher").setLevel(logging.CRITICAL)
        return weightwatcher.WeightWatcher(model=net, log_level=logging.CRITICAL)

    watcher = _quiet(load)

    def analyze() -> Any:
        return _quiet(lambda: watcher.analyze(randomize=False, plot=False))

    return analyze, analyze()
