"""Corrections for many looks, against hand-made values and SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.multiple import corrected


def test_holm_by_hand():
    assert corrected([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])


def test_bh_by_hand():
    # p n / rank from the largest down: .04 x 4/3, then .03 x 4/2 held to it
    assert corrected([0.01, 0.04, 0.03, 0.9], "bh") == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.9])
    assert corrected(np.empty(0), "bh").shape == (0,)


def test_another_correction():
    with pytest.raises(InputError, match="correction"):
        corrected([0.1], "sidak")
