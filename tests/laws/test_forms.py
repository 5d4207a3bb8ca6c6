"""Each law against its formula written plainly, its Jacobian against differences."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.laws.catalogue import FORMS, form
from opalesce.laws.compute import Chinchilla, Kaplan
from opalesce.laws.fit import fit
from opalesce.laws.forms import Broken
from opalesce.laws.threshold import Threshold
from opalesce.theory.npm.blayer import capability

LAWS = [form(n) for n in FORMS] + [form("broken", 0), form("broken", 2), form("broken", 3)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: f"{law.key}-{len(law.names)}")
def test_jacobian_is_the_derivative(law):
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(len(law.inputs), 30)), 0.3 * rng.normal(size=30) - 2
    low, high = law.bounds(u, v)
    theta = np.clip(law.starts(u, v)[:40], low + 1e-3, high - 1e-3)
    value, jac = law.log_value(theta, u)
    assert np.isfinite(value).all()
    for p, h in enumerate(1e-6 * np.eye(theta.shape[1])):
        slope = (law.log_value(theta + h, u)[0] - law.log_value(theta - h, u)[0]) / 2e-6
        np.testing.assert_allclose(jac[..., p], slope, atol=1e-7)


def test_figure_1_of_the_source():
    # caballero2023broken, figure 1: three breaks over 27 decades
    a, b, c, d, f = 1e-3, 4.66e3, (0.05, 0.49, -0.811, 2.1), (3e6, 1e14, 2e20), (1.1, 1.425, 0.05)
    x = np.logspace(-1, 26, 50)
    plain = b * x ** -c[0]
    for ci, di, fi in zip(c[1:], d, f, strict=True):
        plain = plain * (1 + (x / di) ** (1 / fi)) ** (-ci * fi)
    law = Broken(3)
    theta = [np.log(a), np.log(b), c[0]]
    for ci, di, fi in zip(c[1:], d, f, strict=True):
        theta += [ci, np.log(di), np.log(fi)]
    got, _ = law.log_value(np.array([theta]), np.log(x)[None])
    keep = np.isfinite(plain)  # (x/d)^(1/f) overflows in the plain formula, not in the law
    np.testing.assert_allclose(got[0][keep], np.log(a + plain[keep]), rtol=1e-10)
    assert np.isfinite(got).all()
    natural = law.natural(np.array([theta]), np.zeros(1))[0]
    slope = law.slope(natural, np.array([1e-1, 1e10]))
    assert slope[0] == pytest.approx(-0.05, abs=1e-3)
    assert slope[1] == pytest.approx(-0.54, abs=0.01)


def test_centre_moves_only_the_coefficients():
    law, centre = Chinchilla(), np.array([20.0, 23.0])
    theta = np.array([[0.5, -1.0, -1.2, 0.34, 0.28]])
    e, a, b, alpha, beta = law.natural(theta, centre)[0]
    n, d = 1e9, 2e10
    got, _ = law.log_value(theta, np.log([[n], [d]]) - centre[:, None])
    assert np.exp(got[0, 0]) == pytest.approx(e + a * n**-alpha + b * d**-beta, rel=1e-12)


@pytest.mark.parametrize(("n", "loss"), [(1e8, 2.830), (1e9, 2.376)])
def test_kaplan_with_much_data_is_the_law_of_parameters(n, loss):
    # kaplan2020scaling, eq. 1.1: L(N) = (8.8e13 / N)^0.076
    law, power = Kaplan(), 0.095
    theta = np.array([[0.076 / power * np.log(8.8e13), np.log(5.4e13), 0.076 / power, np.log(power)]])
    got, _ = law.log_value(theta, np.log([[n], [1e30]]))
    assert np.exp(got[0, 0]) == pytest.approx(loss, abs=6e-4)
    assert law.natural(theta, np.zeros(2))[0] == pytest.approx([8.8e13, 5.4e13, 0.076, 0.095])


def test_m4_solves_its_equation():
    law = form("M4")
    low, top, beta, c, alpha = 0.1, 0.9, 30.0, 0.4, 0.7
    theta = np.array([[np.log(low), np.log(top), np.log(beta), c, alpha]])
    x = np.logspace(0, 6, 40)
    y = np.exp(law.log_value(theta, np.log(x)[None])[0][0])
    np.testing.assert_allclose((y - low) / (top - y) ** alpha, beta * x**-c, rtol=1e-8)


def test_unknown_law():
    with pytest.raises(InputError, match="broken"):
        form("brokn")
    with pytest.raises(InputError, match="0 to 3"):
        form("broken", 7)


def test_the_threshold_law_is_that_of_the_theory_and_is_found_again():
    rho, rho_c, beta = np.geomspace(1.02, 300, 40) * 7.0, 7.0, 0.45
    y = 0.6 * capability(rho, rho_c, beta)
    law = Threshold()
    theta = np.array([[np.log(0.6), beta, np.log(rho_c)]])
    np.testing.assert_allclose(np.exp(law.log_value(theta, np.log(rho)[None])[0][0]), y, rtol=1e-12)
    found = fit("threshold", rho, y, draws=0)
    assert [found.params[k] for k in ("A", "beta", "xc")] == pytest.approx([0.6, beta, rho_c], rel=1e-6)
    noisy = fit("threshold", rho, y * np.exp(0.01 * np.random.default_rng(0).normal(size=40)))
    assert noisy.intervals["xc"].low < rho_c < noisy.intervals["xc"].high
