"""The report in headless Chromium: it draws, stays offline, and obeys keyboard, theme and zoom."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import HOSTILE, requests, spoil

pytestmark = pytest.mark.browser
Visit = Callable[..., Any]

RANGES = "return [...document.querySelectorAll('.plot[data-drawn]')].map(d => d.layout.xaxis.range)"
DRAWN = (
    "return [...document.querySelectorAll('.plot, .strip')]"
    ".every(d => d.dataset.drawn && d.querySelector('svg'))"
)
OPEN = "document.querySelectorAll('details').forEach(d => { d.open = true })"


def wait(browser: Any, script: str, seconds: float = 15) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, seconds).until(lambda d: d.execute_script(script))


def complaints(browser: Any) -> list[str]:
    return [e["message"] for e in browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]


def test_every_figure_is_drawn_without_a_complaint_or_a_request(
    visit: Visit, document: dict[str, Any]
) -> None:
    browser = visit(document)
    browser.execute_script(OPEN)
    assert wait(browser, DRAWN), "a figure is not drawn"
    assert len(browser.execute_script(RANGES)) == 4  # two judged, one ranked, the map
    assert complaints(browser) == []
    sent = requests(browser)
    assert sent, "the log of requests is empty, so it proves nothing"
    assert [u for u in sent if not u.startswith(("file:", "data:", "blob:"))] == []


def test_labels_of_the_strip_and_the_ticks_do_not_touch(visit: Visit, document: dict[str, Any]) -> None:
    for width in (1100, 700):
        browser = visit(document, width=width)
        boxes = browser.execute_script(
            "return [...document.querySelectorAll('.strip text')].map(t => {"
            " const r = t.getBoundingClientRect();"
            " return [t.textContent, r.left, r.right, r.top, r.bottom] })"
        )
        assert any("T1 · step 270 [245, 295]" in b[0] for b in boxes)
        for i, (name, left, right, top, bottom) in enumerate(boxes):
            for other, left2, right2, top2, bottom2 in boxes[:i]:
                apart = right <= left2 or right2 <= left or bottom <= top2 + 3 or bottom2 <= top + 3
                assert apart, f"{name!r} lies over {other!r} at width {width}"


def test_zoom_on_one_panel_moves_all(visit: Visit, document: dict[str, Any]) -> None:
    from selenium.webdriver import ActionChains

    browser = visit(document)
    before = browser.execute_script(RANGES)
    layer = browser.find_elements("css selector", ".plot .nsewdrag")[1]
    ActionChains(browser).move_to_element(layer).click_and_hold().move_by_offset(150, 0).release().perform()
    wait(
        browser,
        f"return Math.abs(document.querySelector('.plot').layout.xaxis.range[0] - {before[0][0]}) > 0.1",
    )
    after = browser.execute_script(RANGES)
    assert len(after) == 4
    assert all(r == after[0] for r in after)
    assert after[0][1] - after[0][0] < 0.5 * (before[0][1] - before[0][0])
    browser.find_element("css selector", "button[data-zoom='']").click()
    assert browser.execute_script(RANGES) == before
    browser.find_element("css selector", "button[data-zoom='T1']").click()
    low, high = browser.execute_script(RANGES)[0]
    assert low < 1.447 < high  # log10(1 + 270 / 10)
    assert high - low < 0.6


def test_hover_reads_all_panels_at_one_place(visit: Visit, document: dict[str, Any]) -> None:
    from selenium.webdriver import ActionChains

    browser = visit(document)
    layer = browser.find_elements("css selector", ".plot .nsewdrag")[0]
    ActionChains(browser).move_to_element(layer).perform()
    read = "const t = [...document.querySelectorAll('#figures .readout')].map(r => r.textContent);"
    texts = wait(browser, read + " return t.every(s => s) ? t : null")
    assert len(texts) == 2
    assert texts[0].split(":")[0] == texts[1].split(":")[0]
    assert "twins" in texts[0]
    assert "seed 2" in texts[0]


def test_hostile_names_stay_text(visit: Visit, document: dict[str, Any]) -> None:
    parts = ["kind", "severity", "run", "file", "tensor", "step", "expected", "seen", "fix"]
    parts.append("false_transition")
    document["health"] = {"status": "findings", "findings": [dict.fromkeys(parts, "x")]}
    document["predictions"] = [
        {"name": "p", "expected": "e", "interval": None, "verdict": "MET", "seen": "s"}
    ]
    spoiled = spoil(document)
    spoiled["heatmap"]["modules"] = [
        "<b>x</b>",
        "<a href='pwned'>y</a>",
        "&lt;",
        "%{x}",
        "z",
        "$a$",
    ]
    browser = visit(spoiled)
    browser.execute_script(OPEN)
    wait(browser, DRAWN)
    assert browser.execute_script("return window.pwned === undefined")
    assert browser.execute_script("return document.querySelectorAll('main img, svg a').length") == 0
    hrefs = browser.execute_script(
        "return [...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
    )
    assert all(h.startswith("#") for h in hrefs)
    shown = browser.execute_script("return document.body.textContent")
    assert all(h in shown for h in HOSTILE[:-1])
    ticks = browser.execute_script(
        "return [...document.querySelectorAll('.heat .yaxislayer-above text')].map(t => t.textContent)"
    )
    assert sorted(ticks) == sorted(spoiled["heatmap"]["modules"]), "a name is not drawn as it stands"
    assert (
        browser.execute_script(
            "return document.querySelectorAll('.heat .yaxislayer-above tspan[style]').length"
        )
        == 0
    )
    assert complaints(browser) == []


def test_keyboard_reaches_tables_and_the_copy_button(visit: Visit, document: dict[str, Any]) -> None:
    from selenium.webdriver import ActionChains, Keys

    browser = visit(document)

    def press(key: str) -> None:
        ActionChains(browser).send_keys(key).perform()

    focus = "const e = document.activeElement; return e.id || e.textContent.trim()"
    seen: list[str] = []
    for _ in range(60):
        press(Keys.TAB)
        seen.append(browser.execute_script(focus))
        if seen[-1].startswith("BibTeX"):
            break
    assert seen[0].startswith("Skip to the verdicts")
    assert any(s.startswith("Table:") for s in seen)
    assert any(s.startswith("Exploratory") for s in seen)
    assert "around T1" in seen
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"
    press(Keys.ENTER)
    press(Keys.TAB)
    assert browser.execute_script(focus) == "copy"
    press(Keys.ENTER)
    said = wait(browser, "return document.getElementById('copied').textContent")
    assert said == "copied"
    assert complaints(browser) == []


def test_dark_scheme_paints_page_and_figures_again(visit: Visit, document: dict[str, Any]) -> None:
    browser = visit(document)
    look = (
        "return [getComputedStyle(document.body).backgroundColor,"
        " document.querySelector('.plot .js-line').style.stroke,"
        " document.querySelector('.strip rect').getAttribute('fill')]"
    )
    light = browser.execute_script(look)
    dark_media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark_media)
    wait(browser, "return document.querySelector('.strip rect').getAttribute('fill') !== '" + light[2] + "'")
    dark = browser.execute_script(look)
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert complaints(browser) == []


def test_paper_is_light_and_fits(visit: Visit, document: dict[str, Any]) -> None:
    browser = visit(document, scheme="dark")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert (
        browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        == "rgb(251, 250, 246)"
    )
    widths = browser.execute_script(
        "return [...document.querySelectorAll('.plot .main-svg')].map(s => s.clientWidth)"
    )
    assert max(widths) < 690
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert (
        browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        != "rgb(251, 250, 246)"
    )


def test_nothing_is_wider_than_700_pixels(visit: Visit, document: dict[str, Any]) -> None:
    long = "layers." + "very_long_name_" * 12
    document["witnesses"][0]["label"] = document["transitions"][0]["headline"] = document["title"] = long
    document["heatmap"]["modules"] = [f"{long}.{i}" for i in range(6)]
    browser = visit(document, width=700)
    browser.execute_script(OPEN)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 700


def test_a_page_with_nothing_to_judge_still_opens(visit: Visit, document: dict[str, Any]) -> None:
    bare = {k: copy.deepcopy(document[k]) for k in ("schema", "axis")}
    browser = visit(bare)
    assert complaints(browser) == []
    text = browser.execute_script("return document.body.innerText")
    assert "No witness was judged" in text
    assert "No weights were measured" in text
    assert wait(browser, "return document.querySelector('.strip svg') !== null")
