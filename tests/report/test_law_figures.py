"""Figures of fits and forecasts hold the data, the law and the band that the numbers say."""

from __future__ import annotations

import numpy as np
import pytest

import opalesce
from opalesce.errors import InputError


@pytest.fixture(scope="module")
def curve():
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, 40)
    return x, (0.2 + 2 * x**-0.4) * np.exp(0.02 * rng.standard_normal(40))


def test_fit(curve):
    x, y = curve
    f = opalesce.fit("broken", x, y, n_breaks=1)
    drawn = {t.name: t for t in opalesce.plot(f).data}
    np.testing.assert_allclose(drawn["data"].y, y)
    np.testing.assert_allclose(drawn["residual"].y, np.log(y) - f.log_predict(x)[0])
    at = np.array(drawn["law"].x)
    np.testing.assert_allclose(drawn["law"].y, f.predict(at).median)
    assert any(name.startswith("break") for name in drawn)


def test_forecast_has_no_bare_line_beyond_one_decade(curve):
    fc = opalesce.forecast(*curve, to=np.geomspace(1.1e4, 1e6, 30))
    drawn = opalesce.plot(fc)
    traces = {t.name: t for t in drawn.data}
    assert max(traces["median"].x) <= 1e5
    assert max(traces["interval"].x) == pytest.approx(1e6)
    assert "held-out" in drawn.layout.title.text


def test_two_inputs_have_no_single_curve():
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7, 9, 20), 10 ** rng.uniform(9, 11, 20)
    f = opalesce.fit("chinchilla", {"N": n, "D": d}, 1.7 + 400 * n**-0.34 + 400 * d**-0.3, draws=0)
    with pytest.raises(InputError, match="several inputs"):
        opalesce.plot(f)
