"""The page of a real trial in headless Chromium: drawn whole, silent, and it asks for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report.conftest import requests
from report.test_browser import DRAWN, OPEN, complaints, wait

import opalesce
from opalesce.transitions.result import Trial

pytestmark = [pytest.mark.browser, pytest.mark.torch]


def test_the_real_report_reads_offline(held: Trial, driver: Any, tmp_path: Path) -> None:
    page = opalesce.report(held, out=tmp_path)
    driver.get("about:blank")
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(page.as_uri())
    wait(driver, "return document.documentElement.dataset.ready === 'yes'", 60)
    driver.execute_script(OPEN)
    assert wait(driver, DRAWN, 60), "a figure is not drawn"
    assert complaints(driver) == []
    sent = requests(driver)
    assert sent, "the log of requests is empty, so it proves nothing"
    own = ("file:", "data:", "blob:", "chrome:")  # the last: the browser's own first tab, still at work
    assert [u for u in sent if not u.startswith(own)] == []
    text = driver.find_element("css selector", "body").text
    (t,) = [t for t in held.transitions if t.verdict == "TRANSITION"]
    for words in (
        "TRANSITION",
        f"{t.place.value:.0f}",
        "induction_score",
        "stable_rank",
        "Twins judged as runs",
    ):
        assert words.lower() in text.lower(), words
    assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth + 1")
