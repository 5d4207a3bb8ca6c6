"""Capability from benchmark scores: the public table, and a table whose component is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce.errors import InputError
from opalesce.laws.observational import capability, impute, link


def test_public_models(data: Path):
    # ruan2024observational, all 148 models: 85.3, 9.3 and 2.7 % of the variance; abs 0.5 %
    frame = pd.read_csv(data / "obs_scaling" / "base_llm_benchmark_eval.csv")
    found = capability(frame.iloc[:, 5:])
    assert found.explained == pytest.approx([0.853, 0.093, 0.027], abs=0.005)
    assert found.explained.sum() == pytest.approx(0.974, abs=0.005)
    frame["first"] = found.scores[:, 0]
    for family, r2 in [("Pythia", 0.985), ("OPT", 0.984), ("Llama-2", 0.999)]:
        part = frame[frame["Model Family"] == family]
        seen = np.corrcoef(np.log10(part["FLOPs (1E21)"]), part["first"])[0, 1] ** 2
        assert seen == pytest.approx(r2, abs=0.005)  # the reference's component leaves 21 models out


def test_missing_scores_of_one_component_are_found():
    rng = np.random.default_rng(0)
    ability = rng.uniform(0.1, 0.9, 60)
    table = np.outer(ability, [0.9, 0.7, 0.5, 0.8]) + 0.05
    holes = rng.random(table.shape) < 0.15
    holes[holes.all(axis=1)] = False
    filled, _ = impute(np.where(holes, np.nan, table))
    np.testing.assert_array_equal(filled[~holes], table[~holes])
    assert np.abs(filled - table)[holes].max() < 1e-3
    found = capability(np.where(holes, np.nan, table), 2)
    assert found.explained[0] > 0.9999
    assert abs(np.corrcoef(found.scores[:, 0], ability)[0, 1]) > 0.9999


def test_link_recovers_its_curve():
    rng = np.random.default_rng(0)
    s = rng.normal(size=(80, 2))
    y = 0.1 + 0.9 / (1 + np.exp(-(-1.0 + 2.0 * s[:, 0] - 0.5 * s[:, 1])))
    got = link(s, y)
    assert got.floor == pytest.approx(0.1, abs=1e-6)
    assert got.weights == pytest.approx([-1.0, 2.0, -0.5], abs=1e-5)
    np.testing.assert_allclose(got(s), y, atol=1e-6)


def test_bad_input():
    good = np.random.default_rng(0).random((5, 3))
    for bad in (100 * good, good[0], np.where(np.arange(3) == 1, np.nan, good), np.full((5, 3), 0.5)):
        with pytest.raises(InputError):
            impute(bad)
    with pytest.raises(InputError, match="components"):
        capability(good, 4)
    with pytest.raises(InputError, match="too few"):
        link(good[:3], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="scores from 0 to 1"):
        link(good, [2.0] * 5)
