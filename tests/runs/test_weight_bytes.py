"""Every reader of weights on any bytes: it returns, or raises the documented error."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opalesce.errors import OpalesceError
from tests.runs.weight_readers import WEIGHT_READERS

QUIET = settings(max_examples=400, deadline=1000, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", WEIGHT_READERS)
def test_any_bytes_and_any_change_of_a_sound_file(name: str, tmp_path: Path) -> None:
    read, sound = WEIGHT_READERS[name]
    path = tmp_path / name.split()[-1]
    path.write_bytes(sound)
    assert read(path)

    @QUIET
    @given(st.binary(max_size=200), st.integers(0, len(sound)), st.binary(max_size=6), st.integers(0, 6))
    def damaged(noise: bytes, at: int, new: bytes, old: int) -> None:
        for data in (noise, sound[:at] + new + sound[at + old :], sound[:at]):
            path.write_bytes(data)
            with contextlib.suppress(OpalesceError):
                read(path)

    damaged()
