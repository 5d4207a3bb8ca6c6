"""Shared fixtures: real data where it is, required parts that may not be skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data (`OPALESCE_DATA`, by default ../shared/data)."""
    folder = Path(os.environ.get("OPALESCE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set OPALESCE_DATA")
    return folder


def require(part: str, reason: str) -> None:
    """Skip because `part` is missing, or fail where OPALESCE_REQUIRE names it."""
    if part in os.environ.get("OPALESCE_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required here and missing: {reason}")
    pytest.skip(reason)
