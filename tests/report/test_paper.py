"""Figures for print: all are drawn, deterministic, and hostile names stay text."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from opalesce.cli import main
from opalesce.errors import FormatError, InputError
from opalesce.report.clean import clean, to_json
from opalesce.report.paper import figures

from .conftest import HOSTILE, spoil

NAMES = ["witnesses", "findings", "heatmap", "exhibit-1-stairs"]


def test_every_part_is_drawn_and_equal_reports_give_equal_files(document: dict[str, Any], tmp_path: Path):
    first = figures(document, tmp_path / "a", formats=("pdf", "svg", "png"))
    assert [p.name for p in first] == [f"{n}.{k}" for n in NAMES for k in ("pdf", "svg", "png")]
    again = figures(document, tmp_path / "b", formats=("pdf", "svg", "png"))
    for p, q in zip(first, again, strict=True):
        assert hashlib.sha256(p.read_bytes()).digest() == hashlib.sha256(q.read_bytes()).digest()


def test_a_curve_that_moves_changes_its_figure_only(document: dict[str, Any], tmp_path: Path):
    figures(document, tmp_path / "a", formats=("svg",))
    document["witnesses"][0]["runs"][0]["y"][30] += 1.0
    figures(document, tmp_path / "b", formats=("svg",))
    changed = [
        n
        for n in NAMES
        if (tmp_path / "a" / f"{n}.svg").read_bytes() != (tmp_path / "b" / f"{n}.svg").read_bytes()
    ]
    assert changed == ["witnesses"]


def test_hostile_names_are_drawn_as_text(document: dict[str, Any], tmp_path: Path):
    bad = spoil(clean(document))
    bad["witnesses"][0]["label"] = r"$\frac{$ \input{/etc/passwd} <script>" + HOSTILE[0]
    bad["exhibits"][0]["id"] = "../../outside"
    written = figures(bad, tmp_path / "out", formats=("svg",))
    assert all(p.parent == tmp_path / "out" for p in written)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    for p in written:
        assert not re.search(r"<script|onerror=|href=\"(?!#|data:image/png)", p.read_text("utf-8"))


def test_refusals(document: dict[str, Any], tmp_path: Path):
    with pytest.raises(InputError, match="no such figures"):
        figures(document, tmp_path, style="poster")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no such figures"):
        figures(document, tmp_path, formats=("exe",))
    del document["axis"]
    with pytest.raises(FormatError, match="lacks a part"):
        figures(document, tmp_path)


def test_the_command(document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "report.json").write_text(to_json(document))
    out = tmp_path / "figures"
    assert main(["figures", str(tmp_path / "report.json"), "--out", str(out), "--style", "talk"]) == 0
    assert sorted(p.stem for p in out.glob("*.pdf")) == sorted(NAMES)
    assert main(["figures", str(tmp_path / "report.json"), "--style", "poster"]) == 2
