"""`report.json` and the store from a stranger: what reads them refuses in words, or takes what is there."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opalesce
from opalesce.errors import FormatError, OpalesceError, StoreError
from opalesce.measure.store import Store
from opalesce.measure.sweep import measure
from opalesce.report.explain import explain
from opalesce.report.paper import figures
from opalesce.report.verify import read_report, verify
from opalesce.runs.safetensors import write

ODD = (
    None,
    True,
    -1,
    10**30,
    1e308,
    -1e308,
    1e-320,
    "",
    "x" * 3000,
    "</script>",
    "\u202e\x1b[2J",
    [],
    {},
    [[1]],
    {"a": 1},
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(0)
    w = rng.standard_normal((8, 6))
    for k in range(12):
        write(folder / f"step{k}.safetensors", {"a.weight": (w + 0.1 * k).astype(np.float32)})
    rows = [{"step": 0.2 * k, "loss": 4 - 2 * (k > 30) + rng.normal(0, 0.05)} for k in range(60)]
    (folder / "log.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


@pytest.fixture(scope="module")
def document(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("page")
    opalesce.report(run, observables=["loss", "stable_rank"], out=out)
    return dict(json.loads((out / "report.json").read_text("utf-8")))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    )
    for key, below in inner:
        yield from places(below, (*at, key))


def spoiled(document: dict[str, Any], at: tuple[Any, ...], value: object) -> Any:
    if not at:
        return value
    out = copy.deepcopy(document)
    home: Any = out
    for key in at[:-1]:
        home = home[key]
    home[at[-1]] = value
    return out


def tried(call: Any) -> None:
    with contextlib.suppress(OpalesceError):
        call()


def test_any_part_of_a_report_may_be_anything(document: dict[str, Any], tmp_path: Path) -> None:
    path, rng = tmp_path / "report.json", random.Random()
    every = list(places(document))
    assert len(every) > 200
    for at in every:
        for value in rng.sample(ODD, 4):
            path.write_text(json.dumps(spoiled(document, at, value)))
            try:
                found = read_report(path)
            except OpalesceError:
                continue
            tried(lambda found=found: explain(found))
            tried(lambda: verify(path, str(tmp_path)))


def test_figures_of_any_report(document: dict[str, Any], tmp_path: Path) -> None:
    rng = random.Random()
    drawn = [
        p
        for p in places(document)
        if p and p[0] in ("witnesses", "transitions", "heatmap", "axis", "exhibits")
    ]
    for at in rng.sample(drawn, 25):
        bad = spoiled(document, at, rng.choice(ODD))
        tried(lambda bad=bad: figures(bad, tmp_path, formats=["svg"]))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema": ' + "9" * 5000 + "}", "null", '"x"', '{"schema": NaN}', "\xff"]
)
def test_what_is_no_report(text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, "latin-1")
    with pytest.raises(FormatError):
        read_report(path)


def test_a_hostile_store_is_measured_anew(run: Path, tmp_path: Path) -> None:
    first = measure(run, ["stable_rank"], out=tmp_path)
    # in the order of the steps: that of the files is by fingerprint, which is another at each run
    cells = sorted(tmp_path.rglob("*.json"), key=lambda p: float(json.loads(p.read_text())["step"]))
    texts = ["[" * 10**6, "null", '{"results": []}', '{"results": {"a": 3}}', "\x00", "{}"]
    odd = (
        ["value", "x"],
        ["value", [1, [2]]],
        ["value", 10**400],
        ["status", {"a": 1}],
        ["value", [1.0, 2.0]],
    )
    for path, text in zip(cells, texts, strict=False):
        path.write_text(text)
    for path, (key, value) in zip(cells[len(texts) :], odd, strict=False):
        content = json.loads(path.read_text("utf-8"))
        for entry in content["results"].values():
            entry[key] = value
        path.write_text(json.dumps(content))
    again = measure(run, ["stable_rank"], out=tmp_path)
    assert np.allclose(first["stable_rank"][: len(texts)], again["stable_rank"][: len(texts)])


def test_a_store_does_not_lead_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "store" / "cells").mkdir(parents=True)
    (tmp_path / "store" / "cells" / "abc").symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match="link"):
        Store(tmp_path / "store").read("abc", "m")
    with pytest.raises(StoreError, match="link"):
        Store(tmp_path / "store").path("abc", "m", {"a": "b"})
