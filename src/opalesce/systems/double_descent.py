r"""A trained curve with a peak at a known place, and where the broken law puts its breaks on it.

A network of one hidden layer with random, fixed weights, :math:`f(x) = a^\top \mathrm{relu}(Wx)`: its output
weights a are trained by gradient descent on noisy labels. From width P = n on it can fit all n labels: there
its test error peaks, over widths at fixed n and over n at fixed width alike. Beside it stands
least squares with its exact risk (`theory.ridgeless`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.laws.catalogue import MOST_BREAKS
from opalesce.laws.fit import Fit, fit
from opalesce.systems.concepts.models import torch_module

Floats = NDArray[np.float64]
INPUTS, TESTED = 20, 1000  # entries of x, and held-out points
MOMENTUM = 0.95


@dataclass(frozen=True)
class Curve:
    """Test error (noise of the labels included) and training error of each pair of rows and widths (m,): the
    means over seeds, and the standard error of the test error."""

    rows: NDArray[np.int64]
    widths: NDArray[np.int64]
    test: Floats
    error: Floats
    training: Floats


def train(
    rows: ArrayLike, widths: ArrayLike, *, noise: float = 0.25, steps: int = 2000, seeds: int = 8,
    seed: int = 0,
) -> Curve:  # fmt: skip
    r"""Train at each number of rows and width, from zero output weights.

    Labels are :math:`x^\top\beta + \sqrt{\mathrm{noise}}\,\varepsilon` with x of 20 standard normal entries
    and :math:`|\beta| = 1`. Full-batch gradient descent with Nesterov's momentum at the largest stable rate;
    with finitely many `steps` directions of small singular values are not learnt, which blunts the peak.

    Parameters
    ----------
    rows, widths : array_like
        n and P, broadcast to (m,).
    noise : float
        Variance of the labels' noise; without it there is hardly a peak.
    steps, seeds, seed : int
        Steps of each training, independent trainings (2 or more) of each pair, and where seeds start.

    Raises
    ------
    MissingExtra
        Without torch.
    InputError
        Counts below 1, fewer than 2 seeds, or a negative noise.

    Source: a reconstruction; why the peak is at P = n: belkin2020two, theorem 1.
    """
    torch = torch_module()
    n, p = (v.ravel() for v in np.broadcast_arrays(np.asarray(rows, int), np.asarray(widths, int)))
    if not (len(n) and n.min() >= 1 and p.min() >= 1 and seeds >= 2 and steps >= 1 and noise >= 0):
        raise InputError(
            "cannot train so", expected="rows, widths and steps from 1, seeds from 2, noise from 0",
            got=f"rows {n.min(initial=0)}, widths {p.min(initial=0)}, seeds {seeds}, noise {noise}",
        )  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums, and so the bits, depends on it
    try:
        pairs = zip(n.tolist(), p.tolist(), strict=True)
        errors = [_train(torch, a, b, noise, steps, seeds, seed) for a, b in pairs]
    finally:
        torch.set_num_threads(threads)
    test, training = (np.array(e) for e in zip(*errors, strict=True))
    spread = test.std(axis=1, ddof=1) / np.sqrt(seeds)
    return Curve(n, p, test.mean(axis=1), spread, training.mean(axis=1))


def _train(
    torch: Any, n: int, p: int, noise: float, steps: int, seeds: int, seed: int
) -> tuple[Floats, Floats]:
    """Test and training error of each seed (seeds,); all seeds are trained side by side."""
    rng = np.random.default_rng([seed, n, p])
    beta = rng.standard_normal((seeds, INPUTS, 1))
    beta /= np.linalg.norm(beta, axis=1, keepdims=True)
    hidden = rng.standard_normal((seeds, INPUTS, p)) / np.sqrt(INPUTS)
    x, new = (rng.standard_normal((seeds, m, INPUTS)) for m in (n, TESTED))
    y = x @ beta + np.sqrt(noise) * rng.standard_normal((seeds, n, 1))
    features, held_out = np.maximum(x @ hidden, 0), np.maximum(new @ hidden, 0)
    wide = features if n <= p else features.transpose(0, 2, 1)
    top = np.sqrt(np.linalg.eigvalsh(wide @ wide.transpose(0, 2, 1))[:, -1, None, None])
    z, labels = torch.tensor(features / top), torch.tensor(y)  # with singular values up to 1 ...
    a = torch.zeros((seeds, p, 1), dtype=z.dtype, requires_grad=True)
    optimiser = torch.optim.SGD([a], lr=1.0, momentum=MOMENTUM, nesterov=True)  # ... a rate of 1 is stable
    for _ in range(steps):
        optimiser.zero_grad()
        loss = 0.5 * ((z @ a - labels) ** 2).sum()
        loss.backward()
        optimiser.step()
    out = a.detach().numpy()
    test = np.square(held_out / top @ out - new @ beta).mean(axis=(1, 2)) + noise
    return test, np.square(features / top @ out - y).mean(axis=(1, 2))


@dataclass(frozen=True)
class Placed:
    """The broken law with so many breaks on a curve with a peak.

    `places` are the d of its breaks, `off` is :math:`\\ln(d/\\mathrm{peak})` of the nearest of them (NaN
    without a break), `top` where the law itself is largest between the ends of the data, `bic`
    :math:`n \\ln(\\mathrm{RSS}/n) + P \\ln n` in ln y.
    """

    breaks: int
    places: tuple[float, ...]
    off: float
    top: float
    rmse: float
    bic: float


def place_breaks(x: ArrayLike, y: ArrayLike, peak: float, most: int = MOST_BREAKS) -> list[Placed]:
    """Fit the broken law with 0 to `most` breaks to a curve whose peak is known, and say where they lie.

    A break of the law turns a slope once, over a width that is the same on both sides. A peak of least
    squares is a pole: it needs a break at the peak, and others for the two flanks.

    Parameters
    ----------
    x, y : array_like
        Widths or sample sizes, and errors, positive and finite (n,).
    peak : float
        Where the peak is known to be.
    most : int
        Most breaks, 0 to 3; laws with more parameters than points are left out.

    Raises
    ------
    InputError
        Data that cannot be fitted, a peak that is not positive, or `most` out of range.
    """
    if not (0 < peak < np.inf and 0 <= most <= MOST_BREAKS):
        raise InputError(
            "a known peak and a number of breaks", expected=f"positive; 0 to {MOST_BREAKS}",
            got=f"{peak}, {most}",
        )  # fmt: skip
    size = len(np.atleast_1d(np.asarray(x)))
    return [
        _placed(fit("broken", x, y, n_breaks=k, draws=0), k, peak)
        for k in range(most + 1)
        if k == 0 or size > 3 * k + 3
    ]


def _placed(law: Fit, breaks: int, peak: float) -> Placed:
    places: Sequence[float] = sorted(law.params[f"d{i}"] for i in range(1, breaks + 1))
    offs = [float(np.log(d / peak)) for d in places]
    first, last = law.data.u[0][[0, -1]].tolist()
    grid = np.exp(np.linspace(first, last, 2001))
    rmse, n, k = law.diagnostics["rmse"], law.diagnostics["n"], len(law.params)
    return Placed(
        breaks,
        tuple(places),
        min(offs, key=abs, default=float("nan")),
        float(grid[law.log_predict(grid)[0].argmax()]),
        rmse,
        float(2 * n * np.log(rmse) + k * np.log(n)),
    )
