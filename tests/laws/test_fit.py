"""Fits with a known answer: published data, noiseless curves, simulated spreads; and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce.errors import InputError
from opalesce.laws.compute import Chinchilla, hoffmann_grid
from opalesce.laws.descent import objective, search
from opalesce.laws.fit import fit
from opalesce.laws.forms import Broken


@pytest.fixture(scope="module")
def runs(data: Path):
    """N, D, loss of the 245 digitised runs, by loss; besiroglu2024chinchilla drops the last five."""
    frame = pd.read_csv(data / "chinchilla" / "svg_extracted_data.csv").sort_values("loss")
    n, c, loss = (frame[k].to_numpy(float) for k in ("Model Size", "Training FLOP", "loss"))
    return {"N": n, "D": c / (6 * n)}, loss


@pytest.fixture(scope="module")
def addition(data: Path):
    frame = pd.read_csv(data / "bnsl_benchmark" / "bnsl_4digit_addition.csv")
    x, y = (frame[k].to_numpy(float) for k in ("train_dataset_size", "test_cross_entropy"))
    return x, y, (frame["split"] == "fit").to_numpy()


def first(x, m):
    return {k: v[:m] for k, v in x.items()}


# The optimum of the stated objective, not the constants printed where an optimiser stopped early.
@pytest.mark.parametrize(
    ("keep", "delta", "alpha", "beta", "e", "tolerance"),
    [
        (240, 1e-3, 0.347311, 0.367172, 1.817218, 2e-5),
        (245, 1e-3, 0.3493, 0.4530, 1.8913, 1e-3),
        (240, 1.0, 0.360253, 0.405869, 1.864546, 1e-4),
        (240, 1e-4, 0.3474, 0.3654, 1.8158, 1e-3),
        (240, 1e-2, 0.3544, 0.3815, 1.8381, 1e-3),
    ],
)
def test_chinchilla_optimum(runs, keep, delta, alpha, beta, e, tolerance):
    x, loss = runs
    f = fit("chinchilla", first(x, keep), loss[:keep], delta=delta, draws=0)
    got = [f.params[k] for k in ("alpha", "beta", "E")]
    assert got == pytest.approx([alpha, beta, e], abs=tolerance)
    assert f.diagnostics["gradient"] < 1e-8
    if (keep, delta) == (240, 1e-3):
        assert f.diagnostics["objective"] == pytest.approx(0.0010182740178, rel=1e-6)
        assert [f.params["A"], f.params["B"]] == pytest.approx([477.83, 2143.4], rel=1e-3)


def test_published_constants_predict_too_high(runs):
    # hoffmann2022training rounded and unrounded, on the 240 runs: mean residual
    x, loss = first(runs[0], 240), runs[1][:240]
    for (e, a, b, alpha, beta), mean in [
        ((1.69, 406.4, 410.7, 0.34, 0.28), -0.0447),
        ((*np.exp([0.5267228, 6.0073404, 6.0179186]), 0.33917084, 0.2849083), 0.0086),
    ]:
        u = np.log(np.stack([x["N"], x["D"]]))
        value, _ = Chinchilla().log_value(np.array([[np.log(e), np.log(a), np.log(b), alpha, beta]]), u)
        assert (loss - np.exp(value[0])).mean() == pytest.approx(mean, abs=5e-4)


def test_bootstrap_spread_of_the_runs(runs):
    # besiroglu2024chinchilla: standard errors .026, .015, .021; within 15 %. 1000 resamples: 2 % of their own
    f = fit("chinchilla", first(runs[0], 240), runs[1][:240], draws=1000, level=0.95)
    values = f.law.natural(f.draws, f.data.centre)
    share = values[:, 4] / (values[:, 3] + values[:, 4])
    got = [values[:, 0].std(), values[:, 3].std(), values[:, 4].std(), share.std()]
    assert got == pytest.approx([0.026, 0.0149, 0.0207, 0.0197], rel=0.15)
    for name, low, high in [("alpha", 0.317, 0.373), ("beta", 0.331, 0.415), ("E", 1.769, 1.871)]:
        e = f.intervals[name]
        assert e.high - e.low == pytest.approx(high - low, rel=0.1)


def test_resampled_refits_are_at_their_optimum(runs):
    # the batch stops early only if its ends are worse than a search of their own
    from opalesce.laws.descent import polish

    f = fit("chinchilla", first(runs[0], 240), runs[1][:240], draws=8)
    u = f.data.u - f.data.centre[:, None]
    rng = np.random.default_rng([0, 0])
    counts = rng.multinomial(240, np.full(240, 1 / 240), size=8)
    for theta, count in zip(f.draws, counts, strict=True):
        rows = np.repeat(np.arange(240), count[f.data.groups])
        bounds = f.law.bounds(u, f.data.v)
        best = polish(f.law, u[:, rows], f.data.v[rows], theta, bounds, 1e-3)
        mine = objective(f.law, theta[None], u[:, rows], f.data.v[rows], 1e-3, np.ones(240))[0]
        assert mine <= best.objective * 1.001


def test_the_grid_of_the_source_finds_the_same(runs):
    x, loss = first(runs[0], 240), runs[1][:240]
    u = np.log(np.stack([x["N"], x["D"]]))
    centre = u.mean(axis=1)
    grid = hoffmann_grid(centre)
    assert grid.shape == (4500, 5)
    some = grid[np.random.default_rng(0).integers(4500, size=300)]
    got = search(Chinchilla(), u - centre[:, None], np.log(loss), delta=1e-3, starts=some)
    assert got[0].objective == pytest.approx(0.0010182740178, rel=1e-6)


def test_four_digit_addition(addition):
    # caballero2023broken, its own script: fit 5.98e-4, extrapolation 1.09e-2 to 1.12e-2
    x, y, part = addition
    f = fit("broken", x[part], y[part], n_breaks=1, draws=0)
    off = np.log(y) - f.log_predict(x)[0]
    assert np.sqrt((off[part] ** 2).mean()) == pytest.approx(5.98e-4, abs=2e-6)
    assert 1.09e-2 < np.sqrt((off[~part] ** 2).mean()) < 1.12e-2
    assert f.params["d1"] == pytest.approx(612.6, abs=0.5)
    assert f.params["f1"] == pytest.approx(0.0592, abs=2e-4)


@pytest.mark.parametrize(("split", "limit"), [(450, 1e-8), (405, 1e-2)])
def test_a_break_beyond_the_data_without_noise(split, limit):
    # caballero2023broken, the noiseless script: d1 = 612 lies beyond x = 450
    truth = {"a": 0.413885, "b": 2.277272, "c0": 0.0550774, "c1": 5.662909, "d1": 612.5837, "f1": 0.0591931}
    x = np.arange(1.0, 4096.0)
    rise = (1 + (x / truth["d1"]) ** (1 / truth["f1"])) ** (-truth["c1"] * truth["f1"])
    y = truth["a"] + truth["b"] * x ** -truth["c0"] * rise
    f = fit("broken", x[:split], y[:split], n_breaks=1, draws=0)
    off = np.log(y[split:]) - f.log_predict(x[split:])[0]
    assert np.sqrt((off**2).mean()) < limit
    if split == 450:
        assert f.params == pytest.approx(truth, rel=1e-6)


def test_breaks_are_chosen_on_held_out_tails():
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e5, 60)
    smooth = 3.0 * x**-0.3 * np.exp(0.01 * rng.standard_normal(60))
    bent = 3.0 * x**-0.1 * (1 + (x / 300) ** 5) ** (-0.08) * np.exp(0.01 * rng.standard_normal(60))
    assert fit("broken", x, smooth, draws=0).diagnostics["breaks"]["chosen"] == 0
    got = fit("broken", x, bent, draws=0)
    assert got.diagnostics["breaks"]["chosen"] == 1
    assert got.params["d1"] == pytest.approx(300, rel=0.2)


def test_intervals_cover_and_predictions_too():
    # 60 simulated curves, level 0.9: 54 expected, standard deviation 2.3; three of them are allowed
    rng = np.random.default_rng(1)
    x = np.geomspace(1, 1e4, 40)
    inside = {"c0": 0, "a": 0, "next": 0}
    for _ in range(60):
        y = (0.5 + 2.0 * x**-0.4) * np.exp(0.02 * rng.standard_normal(40))
        f = fit("power", x, y, draws=100)
        inside["c0"] += f.intervals["c0"].low <= 0.4 <= f.intervals["c0"].high
        inside["a"] += f.intervals["a"].low <= 0.5 <= f.intervals["a"].high
        p = f.predict([300.0])
        new = (0.5 + 2.0 * 300.0**-0.4) * np.exp(0.02 * rng.standard_normal())
        inside["next"] += p.lower[0] <= new <= p.upper[0]
    assert all(n >= 47 for n in inside.values()), inside


def test_an_offset_that_nothing_bounds_is_open():
    x = np.geomspace(1, 30, 20)
    y = 2 * x**-0.2 * np.exp(0.05 * (-1.0) ** np.arange(20))  # no curvature at all
    f = fit("power", x, y)
    assert f.intervals["a"].low == 0.0
    assert "open" in f.intervals["a"].status


def test_points_of_one_run_are_no_runs():
    # 12 runs whose points share an error: a bootstrap over points must be narrower than one over runs
    rng = np.random.default_rng(0)
    x = np.tile(np.geomspace(1, 1e3, 10), 12)
    runs = np.repeat(np.arange(12), 10)
    shift = 0.1 * rng.standard_normal(12)
    y = 3 * x**-0.3 * np.exp(shift[runs] + 0.005 * rng.standard_normal(120))
    whole = fit("M1", x, y, groups=runs, draws=1000).intervals["b"]
    points = fit("M1", x, y).intervals["b"]
    # a mean of 12 shifts: 90 % width of ln b; a bootstrap over 12 runs divides by 12, not 11 (4 % of width)
    expected = 2 * 1.645 * shift.std() / np.sqrt(12)
    assert np.log(whole.high / whole.low) == pytest.approx(expected, rel=0.12)
    assert points.high - points.low < 0.7 * (whole.high - whole.low)


def test_order_of_rows_does_not_matter_and_repeats_are_told():
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e3, 30)
    y = 2 * x**-0.3 + 0.1
    y = y * np.exp(0.01 * rng.standard_normal(30))
    mixed = rng.permutation(30)
    one, two = fit("power", x, y, draws=20), fit("power", x[mixed], y[mixed], draws=20)
    assert one.params == pytest.approx(two.params, rel=1e-9)
    again = fit("power", np.r_[x, x[:3]], np.r_[y, y[:3]], draws=20)
    assert again.diagnostics["duplicates"] == 3
    assert any("repeat" in note for note in again.diagnostics["notes"])


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([1, 2, 3, 4], [1, 2, np.nan, 4], "row 2"),
        ([1, 2, 3, 4], [1, -2, 3, 4], "positive"),
        ([1, 2, 3, 4], [1, 0, 3, 4], "positive"),
        ([0, 2, 3, 4], [1, 2, 3, 4], "positive"),
        ([1], [1], "too few"),
        ([1, 2, 3, 4], [5, 5, 5, 5], "does not vary"),
        ([3, 3, 3, 3], [1, 2, 3, 4], "does not vary"),
        ([1, 2, 3], [1, 2], "different lengths"),
        ([1, 2, 3, "x"], [1, 2, 3, 4], "numbers"),
        ([1, 2, 3, 4], [1, 2, 3, np.inf], "row 3"),
        ([[1, 2], [3, 4]], [1, 2, 3, 4], "one column"),
    ],
)
def test_bad_input_says_what_is_wrong(x, y, words):
    with pytest.raises(InputError, match=words):
        fit("power", x, y)


def test_bad_settings():
    x, y = np.arange(1.0, 9.0), 1 / np.arange(1.0, 9.0)
    for kind, words in [
        ({"level": 1.5}, "between 0 and 1"),
        ({"delta": -1.0}, "positive"),
        ({"n_breaks": "many"}, "auto"),
        ({"groups": np.zeros(8)}, "two or more groups"),
    ]:
        with pytest.raises(InputError, match=words):
            fit("broken", x, y, **kind)
    with pytest.raises(InputError, match="fewer points"):
        fit("broken", x[:5], y[:5], n_breaks=1)
    with pytest.raises(InputError, match="several inputs"):
        fit("chinchilla", x, y)
    with pytest.raises(InputError, match="positive"):
        fit("power", x, y, draws=10).predict([-1.0])


def test_every_optimum_is_reported_once():
    f = fit("broken", np.geomspace(1, 100, 25), 1 + np.geomspace(1, 100, 25) ** -0.5, n_breaks=1, draws=0)
    goals = [o["objective"] for o in f.optima]
    assert goals == sorted(goals)
    assert isinstance(f.law, Broken)
    assert "caballero" in f.cite()


def test_sensitivity_says_what_other_choices_give(runs):
    # besiroglu2024chinchilla: five runs of the highest loss move beta by four standard errors
    x, loss = runs
    rows = {r["change"]: r for r in fit("chinchilla", x, loss, draws=0).sensitivity}
    assert rows["Huber delta 0.001"]["params"]["beta"] == pytest.approx(0.4530, abs=1e-3)
    assert rows["without the 5 worst-fitted"]["n"] == 240
    assert abs(rows["without the 5 worst-fitted"]["params"]["beta"] - 0.4530) > 0.05
    assert rows["least squares"]["params"]["beta"] > 0.45
    assert len(rows) == 8
