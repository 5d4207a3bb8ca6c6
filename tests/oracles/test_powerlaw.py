"""Agreement with the powerlaw package (Alstott, Bullmore and Plenz 2014): its data sets and drawn points."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from opalesce.observables.tail_tests import compare
from opalesce.observables.tails import fit_power_law

with warnings.catch_warnings():  # its warnings are its own
    warnings.simplefilter("ignore")
    powerlaw = pytest.importorskip("powerlaw")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("name", "unit"), [("blackouts", 1e-3), ("drawn", 1.0), ("ties", 1.0)])
def test_continuous_search_for_xmin(name: str, unit: float):
    r = np.random.default_rng(0)
    drawn = (1 - r.random(700)) ** (-1 / 1.4) + r.exponential(0.5, 700)
    x = {"drawn": drawn, "ties": np.ceil(20 * drawn) / 20}.get(name)
    x = powerlaw.load_test_dataset(name) * unit if x is None else x
    theirs = powerlaw.Fit(x, verbose=0)
    ours = fit_power_law(x)
    assert ours.xmin == pytest.approx(theirs.xmin, rel=1e-12)
    assert ours.alpha == pytest.approx(theirs.power_law.alpha, rel=1e-9)
    assert ours.distance == pytest.approx(theirs.power_law.D, rel=1e-9)
    assert ours.stderr == pytest.approx(theirs.power_law.sigma, rel=1e-9)


@pytest.mark.parametrize(("name", "xmin"), [("words", 7), ("terrorism", 12)])
def test_discrete_exponent(name: str, xmin: int):
    x = powerlaw.load_test_dataset(name)
    theirs = powerlaw.Fit(x, xmin=xmin, discrete=True, estimate_discrete=False, verbose=0)
    # their maximum is found numerically
    assert fit_power_law(x, xmin, discrete=True).alpha == pytest.approx(theirs.power_law.alpha, abs=2e-3)


@pytest.mark.parametrize("name", ["blackouts", "cities"])
def test_likelihood_ratios(name: str):
    x = powerlaw.load_test_dataset(name) * 1e-3
    fit = fit_power_law(x)
    theirs = powerlaw.Fit(x, xmin=fit.xmin, verbose=0)
    # the stretched exponential is left out: their search stops short of the maximum (ours is more likely)
    for rival in ("lognormal", "exponential", "truncated_power_law"):
        got = compare(x, fit, rival)
        ratio, p = theirs.distribution_compare("power_law", rival, normalized_ratio=True)
        assert (got.ratio, got.p) == pytest.approx((ratio, p), abs=5e-3), rival
