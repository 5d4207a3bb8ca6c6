"""Exhibits of structure: densities and curves with known areas, and a grid whose cells can be clicked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.measure import measure
from opalesce.measure.audit import audit
from opalesce.observables.tails import fit_power_law
from opalesce.report.exhibits import Exhibit, Grid, Plate, Series, view
from opalesce.report.html import write_exhibits
from opalesce.report.structure import (
    POINTS,
    audit_exhibits,
    density,
    depth_exhibit,
    spectral_plate,
    spectrum_series,
    training_exhibits,
)
from opalesce.runs.open import open as open_run
from opalesce.runs.safetensors import write
from opalesce.theory.multifractal.exponents import Q

from .conftest import HOSTILE
from .test_browser import complaints, wait
from .test_exhibits import DRAWN

Open = Callable[[list[Exhibit]], Any]


def values(w: np.ndarray) -> np.ndarray:
    return np.linalg.svd(w, compute_uv=False)


def by_label(plate: Any) -> dict[str, Any]:
    return {s.label: s for s in plate.series}


# ---- curves with known areas -------------------------------------------------------------------------


def test_a_density_of_positive_numbers_integrates_to_one() -> None:
    x = np.random.default_rng(0).lognormal(0, 2, 4000)
    edges = np.geomspace(x.min(), x.max() * 1.0001, 21)
    centre, height = density(x, 20)
    width = dict(zip(np.sqrt(edges[1:] * edges[:-1]).round(12), np.diff(edges), strict=True))
    assert sum(h * width[c] for c, h in zip(centre.round(12), height, strict=True)) == pytest.approx(1)
    assert (height > 0).all()


def test_zeros_take_their_share_of_the_density() -> None:
    x = np.random.default_rng(0).uniform(1, 2, 3000)
    _, whole = density(x, 10)
    _, half = density(np.concatenate([x, np.zeros(3000)]), 10)
    assert half == pytest.approx(whole / 2)


def test_a_density_of_one_value_and_of_none() -> None:
    centre, height = density(np.full(5, 3.0))
    assert (centre.tolist(), height.tolist()) == ([pytest.approx(np.sqrt(12))], [1.0])
    assert [len(a) for a in density(np.zeros(5))] == [0, 0]


@pytest.mark.parametrize("shape", [(800, 300), (300, 800), (600, 400)])
def test_the_marchenko_pastur_curve_has_area_one_and_lies_on_noise(shape: tuple[int, int]) -> None:
    w = 0.3 * np.random.default_rng(1).standard_normal(shape)
    drawn = by_label(spectral_plate(values(w), shape))
    x, y = (np.asarray(a) for a in (drawn["Marchenko-Pastur"].x, drawn["Marchenko-Pastur"].y))
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.02)  # 120 points, a root at each end
    c = min(shape) / max(shape)
    assert (x[0], x[-1]) == pytest.approx((0.09 * (1 - c**0.5) ** 2, 0.09 * (1 + c**0.5) ** 2), rel=0.05)
    seen = drawn["measured"]
    step = np.log(np.max(values(w)) / np.min(values(w))) * 2 / POINTS  # of the logarithmic bins
    apart = np.abs(np.asarray(seen.y) - np.interp(seen.x, x, y, 0, 0)) * np.asarray(seen.x) * step
    assert apart.sum() < 0.17  # of areas of 1; at a level wrong by a half 0.2 and more


def test_a_zero_matrix_is_drawn_as_nothing() -> None:
    plate = spectral_plate(np.zeros(9), (12, 9))
    assert [len(s.x) for s in plate.series] == [0]


def test_the_tail_line_is_the_density_of_its_law() -> None:
    """Squares from a Pareto law of exponent 3 above 1: the line has the area of its share, that slope."""
    squares = np.sort((1 - np.random.default_rng(2).random(3000)) ** -0.5)[::-1]
    tail = fit_power_law(squares / squares[0])
    assert tail.alpha == pytest.approx(3, abs=0.2)
    plate = spectral_plate(np.sqrt(squares), (3000, 6000), tail)
    line = by_label(plate)["power-law tail"]
    x, y = np.log(line.x), np.log(line.y)
    assert np.diff(y) / np.diff(x) == pytest.approx(np.full(19, -tail.alpha))
    assert line.x[0] == plate.marks[0].x == pytest.approx(tail.xmin * squares[0] / 6000)
    total = line.y[0] * line.x[0] / (tail.alpha - 1)  # from x0 to infinity
    assert total == pytest.approx(tail.n_tail / 3000)
    assert f"alpha {tail.alpha:.3g}" in plate.marks[0].label
    assert plate.log_x
    assert plate.log_y


def test_a_spectrum_of_one_exponent_is_one_point() -> None:
    s = spectrum_series((2.0 * Q).tolist(), "linear", "seen")
    assert s is not None
    assert np.asarray(s.x) == pytest.approx(np.full(len(Q), 2.0))
    assert np.asarray(s.y) == pytest.approx(np.zeros(len(Q)), abs=1e-12)
    assert spectrum_series([], "none", "seen") is None
    assert spectrum_series([float("nan")] * len(Q), "none", "seen") is None


def test_a_parabola_is_drawn_as_an_arch() -> None:
    """tau = 2 q - q^2 / 10: alpha = 2 - q / 5, f = -q^2 / 10."""
    s = spectrum_series((2 * Q - Q**2 / 10).tolist(), "parabola", "seen")
    assert s is not None
    assert np.asarray(s.x) == pytest.approx(2 - Q / 5)
    assert np.asarray(s.y) == pytest.approx(-(Q**2) / 10, abs=1e-12)


def test_depth_has_controls_bands_and_marks() -> None:
    curve = {"mean": [1, 2, 3], "low": [0, 1, 2], "high": [2, 3, 4]}
    controls = {f"c{i}": [1, 1, 1] for i in range(6)}
    curves = {"object_integrity": {**curve, "controls": controls}, "rankme": {"mean": [3, 2, 1]}}
    places = {"object_integrity": {"value": 0.4, "low": 0.3, "high": 0.5}}
    first, second = depth_exhibit([0, 0.5, 1], curves, places).plates
    assert first.title == "object integrity"
    assert [s.label for s in first.series] == ["model", "c0", "c1", "c2", "c3"]
    assert len({s.role for s in first.series}) == 5
    assert first.series[0].high == [2, 3, 4]
    assert (first.marks[0].x, first.marks[0].low, first.marks[0].high) == (0.4, 0.3, 0.5)
    assert (len(second.series), second.marks) == (1, [])


# ---- an audited checkpoint, a measured run -----------------------------------------------------------


def names() -> list[str]:
    kinds = ("self_attn.q_proj", "mlp.up_proj")
    return [f"model.layers.{i}.{k}.weight" for i in range(3) for k in kinds]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three checkpoints; at the last the q matrix of block 1 has one direction alone."""
    folder = tmp_path / "run"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for step in (0, 10, 20):
        w = {n: rng.standard_normal((40, 30)) for n in names()}
        if step == 20:
            q = w["model.layers.1.self_attn.q_proj.weight"]
            q += 9 * np.outer(rng.standard_normal(40), rng.standard_normal(30))
        write(folder / f"step{step}.safetensors", {k: v.astype(np.float32) for k, v in w.items()})
    return folder


def test_the_map_of_an_audit_shows_where_the_structure_is(run: Path) -> None:
    found = audit(open_run(run))
    exhibits = audit_exhibits(found)
    assert [e.id for e in exhibits] == ["spectra", "neurons", "map"]
    assert len(exhibits[0].plates) == len(exhibits[1].plates[0].series) == 2  # one matrix of each kind
    grid, beside = exhibits[2].plates
    assert grid.grid is not None
    assert (sorted(grid.grid.y), grid.grid.x) == (["q", "up"], ["0", "1", "2"])
    z = np.array(grid.grid.z)
    q, up = grid.grid.y.index("q"), grid.grid.y.index("up")
    assert z[q, 1] > 3  # rank one beside a null of 30 / (1 + (3/4)^(1/2))^2 = 8.6
    assert np.abs(np.delete(z.ravel(), 3 * q + 1)).max() < 0.5
    assert [s.label for s in grid.grid.cells[up][2]] == ["measured", "Marchenko-Pastur"]
    assert list(beside.series) == list(grid.grid.cells[0][0])


def test_curves_of_activations_follow(run: Path) -> None:
    layers = {"gamma": [0, 1], "curves": {"rankme": {"mean": [2, 3], "controls": {"random": [4, 4]}}}}
    exhibits = audit_exhibits(audit(open_run(run)), layers)
    assert exhibits[-1].id == "depth"
    assert "Geometry" in exhibits[-1].caption


def test_of_nothing_there_is_nothing_to_draw(run: Path) -> None:
    with pytest.raises(InputError, match="nothing was audited"):
        audit_exhibits(audit(open_run(run), budget=1.0, started=0.0))


def test_training_shows_spectra_and_a_map(run: Path) -> None:
    ds = measure(open_run(run), ["stable_rank", "multifractal_tau"])
    over, where = training_exhibits(ds)
    assert [s.label for s in over.plates[0].series] == ["step 0", "step 10", "step 20"]
    grid = where.plates[0].grid
    assert grid is not None
    assert list(grid.x) == ["0", "10", "20"]
    assert set(names()) <= set(grid.y)
    i = list(grid.y).index("model.layers.1.self_attn.q_proj.weight")
    rank = ds["stable_rank"].sel(module=grid.y[i]).values
    assert grid.z[i] == pytest.approx(np.log10(rank).tolist())
    assert grid.z[i][2] < grid.z[i][0] - 0.5
    tau = ds["multifractal_tau"].sel(module=grid.y[i], step=20).values
    mine = spectrum_series(tau.tolist(), "f(alpha)", "seen")
    assert grid.cells[i][2] == [mine]
    chosen, _ = training_exhibits(ds, ["model.layers.0.mlp.up_proj.weight"])
    assert chosen.plates[0].title == "model.layers.0.mlp.up_proj.weight"


def test_training_without_its_observables(run: Path) -> None:
    assert training_exhibits(measure(open_run(run), ["norm"])) == []
    assert training_exhibits(measure(open_run(run), ["stable_rank"])) == []
    only = training_exhibits(measure(open_run(run), ["multifractal_tau"]))
    assert [e.id for e in only] == ["training"]


def test_zero_matrices_are_blank_in_the_map(run: Path) -> None:
    blank = {n: np.zeros((40, 30), np.float32) for n in names()[:1]}
    rng = np.random.default_rng(5)
    blank |= {n: rng.standard_normal((40, 30)).astype(np.float32) for n in names()[1:]}
    write(run / "step20.safetensors", blank)
    _, where = training_exhibits(measure(open_run(run), ["stable_rank", "multifractal_tau"]))
    grid = where.plates[0].grid
    assert grid is not None
    i = list(grid.y).index(names()[0])
    assert not np.isfinite(grid.z[i][2])
    assert grid.cells[i][2] == []
    _, _, place = audit_exhibits(audit(open_run(run)))
    assert place.plates[0].grid is not None
    assert np.isnan(np.array(place.plates[0].grid.z)).sum() == 1


# ---- a real browser ----------------------------------------------------------------------------------


@pytest.fixture
def opened(driver: Any, tmp_path: Path) -> Any:
    """Open a page of exhibits alone and wait until it is drawn."""

    def go(exhibits: list[Exhibit]) -> Any:
        page = write_exhibits(exhibits, tmp_path / "page", "title")
        size = {"width": 1100, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
        driver.get_log("browser")
        driver.get(page.as_uri())
        assert wait(driver, DRAWN)
        return driver

    yield go
    driver.get("about:blank")


CELL = """
const d = document.querySelector(arguments[0]), box = d.getBoundingClientRect(), l = d._fullLayout;
window.scrollTo(0, window.scrollY + box.top - 100);
const r = d.getBoundingClientRect();
return [r.left + l._size.l + l.xaxis.l2p(arguments[1]), r.top + l._size.t + l.yaxis.l2p(arguments[2])];
"""


def click(browser: Any, plate: str, column: int, row: int) -> None:
    """A click of the mouse in the middle of a cell."""
    from selenium.webdriver import ActionChains

    x, y = browser.execute_script(CELL, plate, column, row)
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    actions.pause(0.2).click().perform()


def curve(browser: Any, plate: str) -> tuple[list[float], list[float]]:
    x, y = browser.execute_script(
        f'const t = document.querySelector("{plate}").data[0]; return [[...t.x], [...t.y]]'
    )
    return x, y


@pytest.mark.browser
def test_a_click_on_a_cell_shows_its_spectrum(opened: Open, run: Path) -> None:
    where = audit_exhibits(audit(open_run(run)))[2]
    browser = opened([where])
    left, right = "[data-plate='x0-0']", "[data-plate='x0-1']"
    assert browser.execute_script(f'return document.querySelector("{left}").data[0].type') == "heatmap"
    drawn = view(asdict(where), 0)["plates"][0]["drawn"]["grid"]
    before = curve(browser, right)
    title = f"return document.querySelector(\"{right}\").closest('figure').querySelector('figcaption')"
    assert browser.execute_script(title + ".textContent") == "its spectrum"
    assert before[1] == drawn["cells"][0][0][0]["y"]
    row = drawn["y"].index("q")
    for column, i in ((1, row), (2, 1 - row)):
        click(browser, left, column, i)
        said = f"its spectrum: {drawn['y'][i]} · {column}"
        wait(browser, f"{title}.textContent === '{said}'")
        x, y = curve(browser, right)
        assert (x, y) == (drawn["cells"][i][column][0]["x"], drawn["cells"][i][column][0]["y"])
        assert y != before[1]
        assert browser.execute_script(f'return document.querySelector("{right}").ariaLabel').startswith(
            f"spectrum of {drawn['y'][i]}"
        )
    paths = f'return document.querySelectorAll("{right} .js-line").length'
    assert browser.execute_script(paths) == 2
    assert complaints(browser) == []


@pytest.mark.browser
def test_what_was_clicked_stays_in_another_scheme(opened: Open, run: Path) -> None:
    browser = opened([training_exhibits(measure(open_run(run), ["stable_rank", "multifractal_tau"]))[1]])
    left, right = "[data-plate='x0-0']", "[data-plate='x0-1']"
    click(browser, left, 2, 3)
    title = f"document.querySelector(\"{right}\").closest('figure').querySelector('figcaption').textContent"
    said = wait(browser, f"return {title}.includes(' · 20') && {title}")
    shown = curve(browser, right)
    colour = f'return document.querySelector("{right} .js-line").style.stroke'
    light = browser.execute_script(colour)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    wait(browser, f"{colour} !== '{light}'")
    assert curve(browser, right) == shown
    assert browser.execute_script(f"return {title}") == said
    click(browser, left, 0, 0)  # and one click is still one click
    wait(browser, f"return {title}.endsWith(' · 0')")
    assert browser.execute_script(f"return {title}").count(":") == 1
    assert complaints(browser) == []


@pytest.mark.browser
def test_a_short_hostile_name_is_drawn_and_said_as_it_stands(opened: Open) -> None:
    bad = ["<b>x</b>", "<img src=x onerror=pwned=1>", "&lt;"]
    cell = [Series("a", "seen", [1, 2], [3, 4])]
    grid = Grid(["0", "1"], bad, [[0, 1], [1, 2], [2, 3]], [[cell, cell]] * 3)
    plates = [Plate("map", "block", "", grid=grid), Plate("beside", "x", "y", cell)]
    browser = opened([Exhibit("map", "Map", "caption", plates)])
    left = "[data-plate='x0-0']"
    read = f'return [...document.querySelectorAll("{left} .ytick text")].map(t => t.textContent)'
    assert browser.execute_script(read) == bad
    for i, name in enumerate(bad):
        click(browser, left, 1, i)
        last = "[...document.querySelectorAll('figcaption')].at(-1)"
        wait(browser, f"return {last}.textContent.includes('·') || null")
        wait(browser, f"return {last}.dataset.seen !== {last}.textContent")
        said = browser.execute_script(f"return {last}.dataset.seen = {last}.textContent")
        assert said == f"beside: {name} · 1"
    assert browser.execute_script("return document.querySelectorAll('figcaption *').length") == 0
    assert browser.execute_script("return window.pwned") is None
    assert complaints(browser) == []


@pytest.mark.browser
def test_hostile_names_of_tensors_stay_text(opened: Open, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = [h.encode("utf-8", "replace").decode() for h in HOSTILE]
    bad = [f"layers.{i}.{n}.q_proj.weight" for i, n in enumerate(whole)] + whole
    write(tmp_path / "m.safetensors", {n: rng.standard_normal((20, 14)).astype("f4") for n in bad})
    run = open_run(tmp_path / "m.safetensors")
    maps = training_exhibits(measure(_twice(tmp_path, bad), ["stable_rank", "multifractal_tau"]))
    browser = opened([*audit_exhibits(audit(run)), *maps])
    key = browser.execute_script(
        "return [...document.querySelectorAll('.plate')].filter(d => d.data[0]?.type === 'heatmap')"
        ".at(-1).dataset.plate"
    )
    for row in range(4):
        click(browser, f"[data-plate='{key}']", 1, row)
        wait(browser, "return [...document.querySelectorAll('figcaption')].at(-1).textContent.includes('·')")
    assert browser.execute_script("return window.pwned") is None
    assert browser.execute_script("return document.querySelectorAll('main img, svg a, .plate a').length") == 0
    assert HOSTILE[1] in browser.execute_script("return document.body.textContent")
    assert complaints(browser) == []


def _twice(folder: Path, bad: list[str]) -> Any:
    (folder / "bad").mkdir()
    for step in (1, 2):
        rng = np.random.default_rng(step)
        w = {n: rng.standard_normal((20, 14)).astype("f4") for n in bad}
        write(folder / "bad" / f"step{step}.safetensors", w)
    return open_run(folder / "bad")
