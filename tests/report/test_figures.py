"""What is drawn: nothing lost in thinning, labels at real places, colours that can be told apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import xarray as xr

from opalesce.errors import InputError
from opalesce.report.figures import plot
from opalesce.report.heat import heat, shorten
from opalesce.report.palette import DARK, LIGHT, VERDICTS
from opalesce.report.panels import coordinate, decimate, panel, ticks
from opalesce.report.words import interval, number, p_value

from .conftest import estimate, witness

LOG = {"name": "step", "scale": "log", "x1": 10.0}


def test_thinning_keeps_spikes_gaps_ends_and_the_limit() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(100_000.0)
    y = rng.normal(size=x.size)
    y[54_321], y[77_777], y[60_000:60_500] = 50.0, -50.0, np.nan
    for u in (x, coordinate(x, LOG)):
        keep = decimate(u, [y], 2000)
        assert keep.size <= 2000
        assert np.all(np.diff(keep) > 0)
        assert {0, x.size - 1, 54_321, 77_777} <= set(keep.tolist())
    assert np.isnan(y[decimate(x, [y], 2000)]).any()
    assert decimate(x[:2000], [y[:2000]], 2000).tolist() == list(range(2000))


def test_thinned_curve_has_the_same_extremes_in_every_pixel() -> None:
    """Against the slow twin: extremes of each bin of 100, taken from all points."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 1, 5000))
    y = np.cumsum(rng.normal(size=5000))
    keep = decimate(x, [y], 302)
    edges = x[0] + (x[-1] - x[0]) * np.arange(101) / 100
    for a, b in pairwise(edges):
        inside = (x > a) & (x < b)
        kept = [y[i] for i in keep if a < x[i] < b]
        if inside.any():
            assert min(kept) == y[inside].min()
            assert max(kept) == y[inside].max()


def test_ticks_are_round_places() -> None:
    assert ticks(0, 600, LOG) == [0, 10, 20, 50, 100, 200, 600]
    assert ticks(0, 100, {"name": "depth", "scale": "linear"}, most=5) == [0, 20, 40, 60, 80, 100]


def test_panel_of_values_without_a_finite_one_draws_nothing() -> None:
    empty = witness("loss", None, 270, twin=None)
    for run in empty["runs"]:
        run["y"] = [None] * 61
    assert panel(empty, LOG)["traces"] == []


def test_plot_of_a_witness_draws_real_steps_on_the_log_coordinate(document: dict[str, Any]) -> None:
    figure = plot(document, "entropy")
    main = figure.data[-1]
    np.testing.assert_allclose(np.array(main.x)[[0, 1, 60]], [0, np.log10(2), np.log10(61)])
    assert "600" in figure.layout.xaxis.ticktext
    assert not any(str(t.line.color).startswith("--") for t in figure.data)
    with pytest.raises(InputError, match="no such witness"):
        plot(document, "nothing")


def test_plot_of_measured_variables() -> None:
    step = np.array([0.0, 1, 2, 5, 10, 100])
    rank = np.linspace(24, 9, 6)[:, None] * np.array([1.0, 0.5, np.nan])
    ds = xr.Dataset(
        {
            "loss": ("step", np.linspace(4, 1, 6)),
            "loss_stderr": ("step", np.full(6, 0.2)),
            "rank": (("step", "module"), rank),
        },
        {"step": step, "module": ["<b>a</b>", "b", "c"]},
    )
    np.testing.assert_allclose(plot(ds).data[-1].y, np.linspace(4, 1, 6))
    picture = plot(ds, "rank")
    assert picture.data[0].type == "heatmap"
    np.testing.assert_allclose(picture.data[0].z[0], rank[:, 0] - 24)
    assert picture.layout.yaxis.ticktext == ("&lt;b&gt;a&lt;/b&gt;", "b")
    with pytest.raises(InputError, match="no such variable"):
        plot(ds, "loss_stderr")
    with pytest.raises(InputError, match="cannot be drawn"):
        plot(3)


def test_map_is_symmetric_saturates_and_thins() -> None:
    z = np.random.default_rng(0).normal(size=(300, 500))
    z[3, 4] = 1000
    out = heat({"x": np.arange(500.0).tolist(), "modules": [f"m{i}" for i in range(300)], "z": z.tolist()})
    assert out is not None
    trace = out["traces"][0]
    assert trace["zmin"] == -trace["zmax"]
    assert trace["zmax"] == pytest.approx(np.percentile(np.abs(z), 99), rel=1e-2)
    assert out["saturated"]
    assert len(trace["z"]) == 120
    assert out["left_out"] == [180, 340]
    assert heat(None) is None
    assert heat({"x": [0], "modules": ["a"], "z": [[None]]}) is None


def test_names_lose_only_what_all_share() -> None:
    assert shorten(["h.0.q.weight", "h.1.k.weight"]) == ["0.q", "1.k"]
    assert shorten(["only.one"]) == ["only.one"]
    assert shorten(["a", "a.b"]) == ["a", "a.b"] or len(set(shorten(["a", "a.b"]))) == 2
    assert len(shorten(["x" * 80, "y"])[0]) <= 30


@pytest.mark.parametrize(
    ("value", "text"),
    [(271.3, "271"), (0.2714, "0.271"), (44032, "44,032"), (143000.0, "143,000"), (0, "0"), (None, "–"),
     (-0.00001, "-1.00e-05"), (999.7, "1,000"), (2.1e6, "2.1M"), (3e11, "300B"), (3e15, "3.00e+15")],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_intervals_and_p_values() -> None:
    assert interval(estimate(271, 244, 296)) == "271 [244, 296]"
    assert interval(estimate(271)) == "271"
    assert interval({"value": None, "status": "too few points"}) == "too few points"
    assert [p_value(p) for p in (0.0004, 0.041, None, 1e-9)] == ["p = 0.0004", "p = 0.041", "p –", "p < 1e-6"]


def _linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    """CIELAB, D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira & Fernandes 2009, table 1, severity 1.0: deuteranopia and protanopia
BLIND = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", BLIND)
def test_claims_are_told_apart_without_red_or_green(palette: dict[str, str], kind: str) -> None:
    seen = {
        k: _lab(np.array(BLIND[kind]) @ _linear(palette[k]))
        for k in ("--transition", "--crossover", "--artefact")
    }
    names = list(seen)
    for i, a in enumerate(names):
        for b in names[:i]:
            assert np.linalg.norm(seen[a] - seen[b]) > 20, (a, b)
    low, high = (_lab(np.array(BLIND[kind]) @ _linear(palette[k])) for k in ("--low", "--high"))
    assert np.linalg.norm(low - high) > 60


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(palette: dict[str, str]) -> None:
    """WCAG 2.2, success criterion 1.4.3: at least 4.5 to 1."""

    def luminance(name: str) -> float:
        return float(_linear(palette[name]) @ [0.2126, 0.7152, 0.0722])

    def contrast(a: str, b: str) -> float:
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for name in ("--ink", "--soft", *(f"--{v}" for v in VERDICTS.values())):
        assert contrast(name, "--card") >= 4.5, name
    for name in ("transition", "crossover", "artefact", "fault"):
        assert contrast("--on-chip", f"--{name}") >= 4.5, name
    assert LIGHT.keys() == DARK.keys()
