"""Exhibits: drawn in a real browser, with hostile names too; alone on a page; as data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opalesce.report.exhibits import Exhibit, Mark, Plate, Series, view
from opalesce.report.html import write_exhibits

from .conftest import HOSTILE, spoil
from .test_browser import complaints, wait

DRAWN = (
    "return [...document.querySelectorAll('.plate')]"
    ".every(d => d.dataset.drawn && d.querySelector('svg, canvas'))"
)
STAIRS = Exhibit(
    "s",
    "Stairs",
    "caption",
    (
        Plate("one", "x", "y", (Series("a", "seen", [1, 2], [3, 4], [2, 3], [4, 5]),), (Mark(1.5, "m"),)),
        Plate("two", "", "", image=[[0, 1], [1, 2]]),
    ),
)


@pytest.mark.browser
def test_plates_are_drawn_beside_a_trial(visit: Callable[..., Any], document: dict[str, Any]) -> None:
    browser = visit(document)
    assert wait(browser, DRAWN)
    assert browser.execute_script("return document.querySelectorAll('.plate').length") == 2
    assert complaints(browser) == []


@pytest.mark.browser
def test_hostile_names_stay_text(visit: Callable[..., Any], document: dict[str, Any]) -> None:
    bad = spoil(document)
    browser = visit(bad)
    assert wait(browser, DRAWN)
    assert browser.execute_script("return window.pwned") is None
    links = browser.execute_script("return [...document.querySelectorAll('.plate a')].length")
    assert links == 0


@pytest.mark.browser
def test_a_page_of_exhibits_alone(driver: Any, tmp_path: Path) -> None:
    page = write_exhibits([STAIRS], tmp_path, f"title {HOSTILE[0]}", ["a line"], "stairs")
    driver.get_log("browser")
    driver.get(page.as_uri())
    assert wait(driver, DRAWN)
    assert complaints(driver) == []
    assert driver.execute_script("return window.pwned") is None
    driver.get("about:blank")
    said = json.loads((tmp_path / "stairs.json").read_text())
    assert said["schema"] == "opalesce.figures/1"
    assert said["exhibits"][0]["plates"][0]["series"][0]["y"] == [3, 4]


@pytest.mark.browser
def test_words_of_a_plate_lie_apart(driver: Any, tmp_path: Path) -> None:
    curve = Series("a", "seen", [0.01, 0.1, 1], [0.5, 0.01, 0.001])
    marks = (Mark(0.05, "threshold"), Mark(0.08, "break"))
    plate = Plate("one", "x", "1 - AUC", (curve,), marks, log_x=True, log_y=True)
    page = write_exhibits([Exhibit("s", "Stairs", "caption", (plate, plate, plate, plate))], tmp_path, "t")
    driver.get(page.as_uri())
    assert wait(driver, DRAWN)

    def boxes(words: str) -> list[tuple[float, float, str]]:
        first = f"document.querySelector('.plate').querySelectorAll('{words}')"
        box = "e => { const b = e.getBoundingClientRect(); return [b.left, b.right, e.textContent] }"
        return sorted(driver.execute_script(f"return [...{first}].map({box})"))

    names, title, ticks = boxes(".annotation-text"), boxes(".ytitle"), boxes(".ytick text")
    driver.get("about:blank")
    assert [n[2] for n in names] == ["threshold", "break"]
    assert names[0][1] <= names[1][0]
    assert title[0][1] <= ticks[0][0]


def test_the_view_says_in_words_and_in_a_table_what_is_drawn() -> None:
    from dataclasses import asdict

    seen = view(asdict(STAIRS), 0)
    first, second = seen["plates"]
    assert "a goes from 3 to 4" in first["alt"]
    assert "m at 1.5" in first["alt"]
    assert first["table"].rows[0][-1] == "[2, 4]"
    assert second["table"] is None
    assert seen["legend"] == [{"label": "a", "role": "seen"}]
    assert first["drawn"]["traces"][-1]["error_y"]["array"] == [1, 1]
