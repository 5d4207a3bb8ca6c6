"""An outside oracle for places: ruptures (Truong et al. 2020), which assumes a flat mean on each side."""

from __future__ import annotations

import numpy as np
import pytest
import ruptures

from opalesce.transitions.calibrate import table
from opalesce.transitions.scan import Design
from opalesce.transitions.smooth import logistic


@pytest.mark.parametrize("place", [12.4, 25.5, 44.7])
@pytest.mark.parametrize("seed", [0, 1])
def test_place_of_a_clean_step_agrees_within_one_spacing(place, seed):
    """KernelCPD and Binseg name the first point after the step: index k means a place in (k - 1, k)."""
    u = np.arange(61.0)
    y = 15 * logistic(u, place, 0.05) + np.random.default_rng(seed).standard_normal(61)
    ours = Design(u, 15.0).fit(y).place
    signal = y[:, None]
    kernel = ruptures.KernelCPD(kernel="linear", min_size=2).fit(signal).predict(n_bkps=1)[0]
    binary = ruptures.Binseg(model="l2", min_size=2, jump=1).fit(signal).predict(n_bkps=1)[0]
    for theirs in (kernel, binary):
        assert abs(ours - (theirs - 0.5)) <= 1
    assert abs(ours - place) <= 1


def test_a_steep_smooth_curve_breaks_for_ruptures_and_not_here():
    """With flat means a steep member of S must break; against all smooth curves it does not."""
    u = np.arange(41.0)
    design = Design(u, 10.0)
    rise = design.null @ (design.null.T @ (60 * logistic(u, 20, 16.0)))
    y = rise + np.random.default_rng(2).standard_normal(41)
    penalty = 3 * np.log(41)  # a change of mean at unit variance, three parameters
    assert len(ruptures.Binseg(model="l2", jump=1).fit(y[:, None]).predict(pen=penalty)) > 1
    assert table(u, 10.0).p_value(design.fit(y).sharp) > 0.05
