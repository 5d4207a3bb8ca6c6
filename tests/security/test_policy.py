"""SECURITY.md says the limits that the code has, all of them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| [^|]+ \| ([\d,]+) \| `([\w.]+)\.(MAX_\w+)` \|$", re.MULTILINE)
SMALL = {"MAX_PLACES", ("runs.npz", "MAX_HEADER"), ("runs.npz", "MAX_COLUMNS")}  # no defence of their own


def test_limits_are_those_of_the_code() -> None:
    rows = ROW.findall((ROOT / "SECURITY.md").read_text("utf-8"))
    assert len(rows) > 25
    for said, module, name in rows:
        assert int(said.replace(",", "")) == getattr(importlib.import_module(f"opalesce.{module}"), name), (
            name
        )


def test_no_limit_is_missing() -> None:
    said = {(module, name) for _, module, name in ROW.findall((ROOT / "SECURITY.md").read_text("utf-8"))}
    for path in (ROOT / "src" / "opalesce" / "runs").glob("*.py"):
        for name in re.findall(r"^(MAX_\w+) = ", path.read_text("utf-8"), re.MULTILINE):
            place = (f"runs.{path.stem}", name)
            assert place in said or place in SMALL or name in SMALL, place
