"""Stored documents of the first versions: today's program prints all that they hold, and reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opalesce.measure.store import Store
from opalesce.report.explain import explain
from opalesce.report.html import render
from opalesce.report.paper import figures
from opalesce.report.verify import read_report, verify

from .documents import HOME, documents, make_run

STORED = sorted((HOME / "v1").glob("*.json"))


def shapes(value: Any, path: str = "") -> dict[str, str]:
    """Path of every key below a document, and the type of what stands there; null is of any type."""
    if isinstance(value, dict):
        found = {path: "object"}
        for key, inner in value.items():
            found |= shapes(inner, f"{path}.{key}")
        return found
    if isinstance(value, list):
        return {path: "list"} | (shapes(value[0], f"{path}[]") if value else {})
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {path: "number" if number else type(value).__name__}


def broken(old: Any, new: Any) -> list[str]:
    """What a reader of the old document would miss in the new one."""
    before, after = shapes(old), shapes(new)
    return [
        f"{path}: {kind}, now {after.get(path, 'gone')}"
        for path, kind in before.items()
        if kind != "NoneType" and after.get(path) not in (kind, "NoneType")
    ]


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return documents(tmp_path_factory.mktemp("compat"))


@pytest.mark.parametrize("file", STORED, ids=lambda f: f.stem)
def test_nothing_is_gone_or_of_another_type(file: Path, today: dict[str, Any]):
    old, new = json.loads(file.read_text()), today[file.stem]
    assert new["schema"] == old["schema"], "a new version: store its document beside the old one"
    assert broken(old, new) == []


def test_every_document_is_stored(today: dict[str, Any]):
    assert {f.stem for f in STORED} == set(today)


def test_the_comparison_sees_what_it_should():
    old = {"a": 1, "b": [{"c": "x", "d": None}]}
    assert broken(old, {"a": 2.5, "b": [{"c": "y", "d": 3, "e": 0}], "f": 1}) == []
    assert broken(old, {"a": "1", "b": [{"c": "x"}]}) == [".a: number, now str"]
    assert broken(old, {"a": 1, "b": [{}]}) == [".b[].c: str, now gone"]


def test_an_old_report_is_read_explained_drawn_and_verified(tmp_path: Path):
    file = HOME / "v1" / "report.json"
    document = read_report(file)
    assert explain(document).claim
    assert figures(document, tmp_path / "figures", formats=("svg",))
    assert "<html" in render(document)
    # the same numbers come out of the same run today, to 1e-10
    found = verify(file, run=str(make_run(tmp_path / "run")), share=1.0)
    assert len(found) > 40
    assert [f for f in found if f.why] == []


def test_an_old_cell_of_a_store_is_read(tmp_path: Path):
    cell = HOME / "store-v1"
    store = Store(cell)
    known = store.read("fingerprint", "layer.weight")
    assert {k: (r.value, r.status) for k, r in known.items() if r.status == ""} == {
        "key of a number": (0.1 + 0.2, ""),
        "key of a vector": ((1.0, -2.5e-300), ""),
    }
    assert known["key of a failure"].status == "why there is none"
