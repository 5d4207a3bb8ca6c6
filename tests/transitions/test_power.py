"""Power: the noncentral F distribution where it applies, and order where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f as f_distribution
from scipy.stats import ncf

from opalesce.transitions.calibrate import NullTable
from opalesce.transitions.power import power, smallest_step
from opalesce.transitions.scan import Design

from . import dense


@pytest.fixture(scope="module")
def table():
    return NullTable(Design(np.arange(31.0), 7.5))


@pytest.mark.parametrize("height", [1.0, 2.5, 4.0])
@pytest.mark.parametrize("phi", [0.0, 0.7])
def test_known_place_width_and_noise_give_the_noncentral_f(height, phi):
    """P(F(1, nu - 1; (h norm / s)^2) > F_0.05); 300 trials have standard error at most 0.029."""
    full = Design(np.arange(31.0), 7.5)
    d = full.recandidate(np.array([14.2]), np.array([2.0]), [dense.near(full, phi)])
    single = NullTable(d)
    limit = f_distribution.ppf(0.95, 1, d.nu - 1)
    critical = d.nu * np.log1p(limit / (d.nu - 1))
    wanted = ncf.sf(limit, 1, d.nu - 1, (height * d.models[0].norm[0]) ** 2)
    found = power(single, 0, height, critical, np.random.default_rng(int(10 * (height + phi))), 14.2, 2.0)
    assert found == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / 300) + 1e-3)


def test_without_a_step_the_power_is_the_false_alarm_rate(table):
    white = dense.near(table.design, 0.0)
    critical = table.critical(0.3, noise=white)
    found = power(table, white, 0.0, critical, np.random.default_rng(1))
    assert found == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 300) + 0.03)  # 0.03: 2 se of the table


def test_power_grows_with_height_and_smallest_step_has_the_goal(table):
    critical, white = table.critical(0.05), dense.near(table.design, 0.0)
    rng = np.random.default_rng
    values = [power(table, white, h, critical, rng(2)) for h in (1, 4, 8, 20)]
    assert values == sorted(values)
    assert values[-1] > 0.99
    h = smallest_step(table, white, critical, rng(3))
    # 0.8 +- four standard errors of 300 trials, twice, and the interpolation between heights
    assert power(table, white, h, critical, rng(4)) == pytest.approx(0.8, abs=0.15)
    assert smallest_step(table, white, critical, rng(3), goal=0.5) < h


def test_no_step_is_large_enough_for_an_impossible_critical_value(table):
    assert smallest_step(table, 0, 1e9, np.random.default_rng(5)) == np.inf
    assert smallest_step(table, 0, -1.0, np.random.default_rng(5)) == 2.0
