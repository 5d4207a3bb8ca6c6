"""Every reader of logs and evaluations on any bytes: it returns, or raises the documented error."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opalesce.errors import OpalesceError
from runs.reader_list import READERS, file_of
from runs.real_files import samples

QUIET = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    with (folder / "events").open("wb") as file:
        writer = RecordWriter(file)
        for s in range(12):
            value = Summary(value=[Summary.Value(tag="loss", simple_value=4 - 0.1 * s)])
            writer.write(Event(step=s, wall_time=1.0, summary=value).SerializeToString())
        writer.flush()
    return {**samples(folder), "tensorboard events.out.tfevents.1": (folder / "events").read_bytes()}


def test_the_list_is_whole(sound: dict[str, bytes]) -> None:
    assert set(sound) == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_a_sound_file_is_read(name: str, sound: dict[str, bytes], tmp_path: Path) -> None:
    path = file_of(name, tmp_path)
    path.write_bytes(sound[name])
    assert READERS[name](path)


@pytest.mark.parametrize("name", READERS)
def test_any_bytes(name: str, tmp_path: Path) -> None:
    path = file_of(name, tmp_path)

    @QUIET
    @given(st.binary(max_size=300))
    def read(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(OpalesceError):
            READERS[name](path)

    read()


@pytest.mark.parametrize("name", READERS)
def test_any_change_of_a_sound_file(name: str, sound: dict[str, bytes], tmp_path: Path) -> None:
    path, whole = file_of(name, tmp_path), sound[name]
    place = st.integers(0, len(whole))

    @QUIET
    @given(place, place, st.binary(max_size=12), st.booleans())
    def read(at: int, until: int, data: bytes, cut: bool) -> None:
        at, until = sorted((at, until))
        until = until if cut else min(until, at + len(data))
        path.write_bytes(whole[:at] + data + whole[until:])
        with contextlib.suppress(OpalesceError):
            READERS[name](path)

    read()
