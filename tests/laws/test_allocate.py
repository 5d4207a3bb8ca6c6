"""Compute optima against published ones, and against a brute-force minimum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce.errors import InputError
from opalesce.laws.allocate import allocate, isoflop, optimum

HOFFMANN = np.array([*np.exp([0.5267228, 6.0073404, 6.0179186]), 0.33917084, 0.2849083])


@pytest.mark.parametrize(
    ("p", "compute", "ratio"),
    [
        ((1.817218, 477.826, 2143.417, 0.347311, 0.367172), 1e18, 25.9),
        ((1.817218, 477.826, 2143.417, 0.347311, 0.367172), 1e21, 21.4),
        ((1.817218, 477.826, 2143.417, 0.347311, 0.367172), 5.88e23, 17.9),
        (HOFFMANN, 5.88e23, 59.0),  # unrounded constants; rounded ones give 92.8
    ],
)
def test_tokens_per_parameter(p, compute, ratio):
    n, d = optimum(p, compute)
    assert d / n == pytest.approx(ratio, rel=0.01)
    e, a, b, alpha, beta = p
    sizes = n * np.geomspace(0.5, 2, 20001)  # the law along C = 6 N D, by brute force
    loss = e + a * sizes**-alpha + b * (compute / 6 / sizes) ** -beta
    assert sizes[np.argmin(loss)] == pytest.approx(n, rel=2e-4)


def test_chinchilla_allocation(data: Path):
    frame = pd.read_csv(data / "chinchilla" / "svg_extracted_data.csv").sort_values("loss")[:240]
    n, c = frame["Model Size"], frame["Training FLOP"]
    near, far = allocate(n, c / 6 / n, frame["loss"], [1e21, 5.88e23], draws=200)
    assert far.tokens_per_parameter.value == pytest.approx(17.9, rel=0.01)
    assert far.N.value == pytest.approx(74.0e9, rel=0.01)
    assert far.exponent.value == pytest.approx(0.5139, abs=1e-4)
    assert far.decades == pytest.approx(1.66, abs=0.02)
    wide = far.N.high / far.N.low
    assert wide > near.N.high / near.N.low  # further from the data, less known


@pytest.mark.parametrize(
    ("file", "dataset", "hparams", "warmup", "decay", "val", "exponent"),
    [
        ("summary_df", "rw", "base", "long", "kaplan", "train", 0.834),
        ("summary_df", "rw", "base", "long", "kaplan", "val", 0.701),
        ("summary_df", "rw", "base", "short", "kaplan", "val", 0.604),
        ("summary_df", "rw", "base", "short", "chinchilla", "val", 0.571),
        ("summary_df", "rw", "tuned", "short", "const", "val", 0.497),
        ("summary_df_owt2", "owt2", "tuned", "short", "const", "val", 0.518),
    ],
)
def test_isoflop_exponents(data: Path, file, dataset, hparams, warmup, decay, val, exponent):
    # porian2024resolving, table of exponents; abs 0.01
    d = pd.read_csv(data / "porian_resolving" / "isoflop_points.csv")
    names = ["file", "dataset", "hparams", "warmup", "decay", "val"]
    d = d[(d[names] == [file, dataset, hparams, warmup, decay, val]).all(axis=1)]
    got = isoflop(d["flops"], d["n_params"], d["loss"])
    assert got.exponent.value == pytest.approx(exponent, abs=0.01)
    assert got.exponent.low < exponent < got.exponent.high


def test_isoflop_of_an_exact_law():
    # alpha = beta: the loss is symmetric in ln N about its minimum, and N* ~ C^0.5
    c = np.repeat(10.0 ** np.arange(18, 23), 21)
    best, _ = optimum((1.7, 400, 400, 0.3, 0.3), c)
    n = best * np.tile(np.geomspace(0.2, 5, 21), 5)
    loss = 1.7 + 400 * n**-0.3 + 400 * (c / 6 / n) ** -0.3
    for method in ("akima", "parabola"):
        got = isoflop(c, n, loss, method=method)
        assert got.exponent.value == pytest.approx(0.5, abs=1e-3)
        assert got.optimal == pytest.approx(np.unique(best), rel=1e-2)
    edge = isoflop(
        np.r_[c, np.full(5, 1e23)], np.r_[n, np.geomspace(1e6, 1e8, 5)], np.r_[loss, 5, 4, 3, 2.9, 2.8]
    )
    assert edge.left_out == (1e23,)


def test_bad_input():
    with pytest.raises(InputError, match="positive"):
        allocate([1e6, 1e7], [1e9, -1e9], [3, 2], 1e20)
    with pytest.raises(InputError, match="two or more"):
        isoflop([1e18] * 5, np.geomspace(1e6, 1e8, 5), [5, 4, 3, 2.9, 2.8])
    rng = np.random.default_rng(0)
    n, d = np.geomspace(1e6, 1e9, 20), rng.permutation(np.geomspace(1e9, 1e11, 20))
    with pytest.raises(InputError, match="no compute optimum"):
        allocate(n, d, 1e-3 * n**0.2 * d**0.1, 1e20)
