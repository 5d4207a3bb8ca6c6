"""A small document with everything in it, and a browser to read it with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require

Document = dict[str, Any]
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1100,1400",
)


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> Document:
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": 3,
        "status": "",
        "method": "planted",
        "level": 0.9,
    }


def rise(x: np.ndarray, place: float, width: float, height: float) -> np.ndarray:
    """Logistic step in log10(1 + x / 10), 10-90 width `width` decades."""
    u, c = np.log10(1 + x / 10), np.log10(1 + place / 10)
    return height / (1 + np.exp(-(u - c) * 4.394 / width))


def witness(name: str, verdict: str | None, place: float, n: int = 61, **more: Any) -> Document:
    x = np.arange(n) * 10.0
    rng = np.random.default_rng(len(name))
    runs = [
        {
            "name": f"seed {s}",
            "x": x,
            "y": 4.2 - rise(x, place + 10 * s, 0.27, 3.8) + rng.normal(0, 0.02, n),
            "stderr": np.full(n, 0.02),
            "main": s == 1,
        }
        for s in (1, 2, 3)
    ]
    flat = np.full(n, 4.2)
    twin = {"n": 2, "x": x, "low": flat - 0.02, "mean": flat, "high": flat + 0.02}
    return {
        "name": name,
        "label": name,
        "sublabel": "a curve",
        "unit": "nats",
        "lineage": "loss",
        "continuous": True,
        "primary": verdict is not None,
        "verdict": verdict,
        "reason": "",
        "runs": runs,
        "twin": twin,
        "fit": None,
        "place": estimate(place, place - 25, place + 25),
        "width": estimate(0.27, 0.2, 0.31),
        "height": estimate(-3.8, -3.9, -3.7),
        "excess": estimate(3.7, 3.6, 3.9),
        "halfway": estimate(place - 5, place - 20, place + 10),
        "sharp": 31.0,
        "p_sharp": 1e-4,
        "p_adjusted": 4e-4,
        "p_smooth": 1e-5,
        "q": None if verdict else 0.03,
        "power": 0.99,
        "smallest": 0.12,
        "false_alarm": 0.02,
        "status": "",
        "twin_ratio": None,
        "twin_rank_p": 1 / 3,
        "agrees_with": [],
        "seeds": "3 of 3 seeds",
        "unseen": "",
        **more,
    }


def card(id: str | None, verdict: str, place: float | None, names: list[str]) -> Document:
    at = None if place is None else estimate(place, place - 25, place + 25)
    return {
        "id": id,
        "verdict": verdict,
        "headline": f"{id or names[0]}: a card",
        "reason": f"Reason of {verdict.lower()}.",
        "detail": ["One sentence.", "Another."],
        "unseen": "changes narrower than 10 steps.",
        "place": at,
        "width": at and estimate(0.27, 0.2, 0.31),
        "direction": "down",
        "p_value": 4e-4,
        "witnesses": names,
        "seeds": {"n": 3, "agree": 3, "p": 0.01, "next": at},
        "event": None,
    }


@pytest.fixture
def document() -> Document:
    x = np.arange(61) * 10.0
    modules = [f"blocks.{i}.attn.W_Q.weight" for i in range(6)]
    z = np.array([rise(x, 100 + 40 * i, 0.3, (-1) ** i * 5) for i in range(6)])
    return {
        "schema": "opalesce.report/1",
        "title": "induction · seed 1",
        "subtitle": "with seeds 2, 3 and two null twins",
        "axis": {"name": "step", "unit": "optimizer steps", "scale": "log", "x1": 10.0},
        "alpha": 0.05,
        "wstar": 0.8,
        "wstar_unit": "decades",
        "run": {"name": "real1", "n_checkpoints": 61, "n_parameters": 44032, "first": 0, "last": 600},
        "health": {"status": "clean", "findings": []},
        "counts": {"TRANSITION": 1, "CROSSOVER": 1, "NOT SUPPORTED": 2},
        "witnesses": [
            witness("loss", "TRANSITION", 270),
            witness("entropy", "CROSSOVER", 107, lineage="activations"),
            witness("stable rank", None, 125, lineage="weights"),
        ],
        "transitions": [
            card("T1", "TRANSITION", 270, ["loss"]),
            card("C1", "CROSSOVER", 107, ["entropy"]),
            card(None, "NOT SUPPORTED", None, ["norm"]),
        ],
        "events": [{"x": 40, "kind": "warm-up end", "label": "warm-up ends"}],
        "predictions": [
            {
                "name": "order",
                "expected": "a before b",
                "interval": None,
                "verdict": "MISSED",
                "seen": "b before a",
                "reason": "beyond the error",
            }
        ],
        "frozen": {"time": "2025-01-01T00:00:00+00:00", "sha256": "cd" * 32, "file": "predictions.json"},
        "exhibits": [
            {
                "id": "stairs",
                "title": "A staircase",
                "caption": "What is seen.",
                "plates": [
                    {
                        "title": "left",
                        "x": "density",
                        "y": "AUC",
                        "log_x": True,
                        "series": [
                            {"label": "theory", "role": "theory", "x": [1, 10], "y": [0.5, 1.0]},
                            {
                                "label": "seen",
                                "role": "seen",
                                "x": [1, 10],
                                "y": [0.5, None],
                                "low": [0.4, None],
                                "high": [0.6, None],
                            },
                        ],
                        "marks": [{"x": 3, "label": "threshold", "low": 2, "high": 4}],
                    },
                    {"title": "right", "x": "", "y": "", "image": [[0, 1], [2, 1]]},
                ],
            }
        ],
        "heatmap": {
            "observable": "stable rank",
            "unit": "1",
            "x": x,
            "modules": modules,
            "z": z,
            "note": "",
        },
        "seeds": [
            {"run": "real2", "witness": "loss", "verdict": "TRANSITION", "place": estimate(280, 260, 300)}
        ],
        "twins": [{"run": "null1", "witness": "loss", "verdict": "NOT SUPPORTED", "reason": "flat"}],
        "how": {
            "tests": 6,
            "primary": 2,
            "exploratory": 1,
            "correction": "Westfall–Young",
            "simulations": "400 to 40,000 simulations",
            "seed": 0,
            "versions": {"opalesce": "0.1.0"},
            "files": [{"path": "real1/log.jsonl", "sha256": "ab" * 32}],
            "command": "opalesce report real1",
            "time": "2025-01-01T00:00:00+00:00",
            "false_alarm": "4.2 % at alpha = 0.05",
            "methods": [{"key": "page1954", "title": "Continuous inspection schemes"}],
            "bibtex": "@article{page1954,\n  title = {Continuous inspection schemes}\n}",
        },
    }


HOSTILE = (
    "</script><script>window.pwned = 1</script>",
    "<img src=x onerror=window.pwned=1>",
    "javascript:window.pwned=1",
    '=HYPERLINK("http://evil.example")',
    '" onmouseover="window.pwned=1',
    "<a href='javascript:window.pwned=1'>x</a>",
    "%{x}<b>bold</b>${pwned}{{ 7*7 }}",
    "\u202egnp.exe\x00\udc80\u2028",
)


def spoil(value: Any) -> Any:
    """Every free text of a document followed by all hostile names at once."""
    keep = ("schema", "verdict", "role", "scale", "id", "status", "main", "lineage", "direction")
    if isinstance(value, dict):
        return {k: v if k in keep else spoil(v) for k, v in value.items()}
    if isinstance(value, list):
        return [spoil(v) for v in value]
    return f"{value} {' '.join(HOSTILE)}" if isinstance(value, str) else value


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium that logs its console and every request; no network is needed."""
    chromium, chromedriver = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        require("browser", "selenium is not installed")
    if not (chromium.exists() and chromedriver.exists()):
        require("browser", f"{chromium} or {chromedriver} is missing")
    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(str(chromedriver))
    browser = webdriver.Chrome(options=options, service=service)
    browser.get("about:blank")  # its first tab asks for parts of its own for a while
    yield browser
    browser.quit()


@pytest.fixture
def visit(driver: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a document in the browser at a width and a colour scheme; wait until it is drawn."""
    from opalesce.report.html import write

    def go(document: Document, width: int = 1100, scheme: str = "light") -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        size = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        for log in ("browser", "performance"):
            driver.get_log(log)
        driver.get(write(document, tmp_path / "out").as_uri())
        ready = "return document.documentElement.dataset.ready === 'yes'"
        WebDriverWait(driver, 30).until(lambda d: d.execute_script(ready))
        return driver

    yield go
    driver.get("about:blank")


def requests(browser: Any) -> list[str]:
    """Addresses that the page asked for, by the performance log."""
    messages = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # the browser's own first tab: no page from a file may ask for these
    return [url for url in sent if not url.startswith(("chrome:", "chrome-untrusted:"))]
