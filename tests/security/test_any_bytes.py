"""10,000 examples each: header, index, CSV, JSONL and escaping return, or raise the documented error."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz import escaped_page, escaped_text
from opalesce.errors import FormatError, OpalesceError
from opalesce.runs import bounded
from opalesce.runs.csv import read_csv
from opalesce.runs.header import parse_header
from opalesce.runs.jsonl import read_jsonl
from opalesce.runs.safetensors import checkpoint, write
from opalesce.runs.shards import shard_names

QUIET = list(HealthCheck)
MANY = settings(max_examples=10_000, deadline=None, derandomize=False, suppress_health_check=QUIET)
SECONDS = 1.0  # of the processor, that a call may take: a clock would count what else the machine does
# drawn whole: strategies within strategies would take most of the time
ODD = [None, True, 1.5, -1, 0, 2**62, 2**63, 10**400, float("nan"), float("inf"), -0.0, "", "F32", "\ud800"]
ODD += [[], {}, [[[]]], {"a": {"b": 1}}, [1, "x"], [2**62] * 40, "../x", "NaN", "1e999"]
VALUES = st.sampled_from(ODD)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "F8_E4M3", "X", 3]),
        "shape": st.lists(st.integers(0, 5), max_size=3) | VALUES,
        "data_offsets": st.tuples(st.integers(0, 70), st.integers(0, 70)) | VALUES,
    }
)
HEADERS = st.dictionaries(
    st.sampled_from(["a", "b", "__metadata__", "", "\ud800"]), ENTRIES | VALUES, max_size=3
)
NAMED = st.dictionaries(st.sampled_from("abc"), st.text("ab./\\:\0", max_size=6) | VALUES, max_size=3)
LINES = st.tuples(st.sampled_from(["step", "tokens", "_meta", "loss"]), VALUES, st.text(max_size=4), VALUES)
ROWS = LINES.map(lambda r: json.dumps({r[0]: r[1], r[2]: r[3]})) | st.text(max_size=8)
CELLS = st.text('0123456789.eE+-naif_,"\r\n\x00 x\ufeff', max_size=40)
COLUMNS = st.sampled_from(["step,loss\n", "step,loss,loss_stderr\n", "tokens,a,a\n", "x\n", ""])


def quietly(call: Callable[..., Any], *words: Any) -> Any:
    start = time.process_time()
    found = None
    with contextlib.suppress(OpalesceError):
        found = call(*words)
    assert time.process_time() - start < SECONDS
    return found


@MANY
@given(HEADERS, st.integers(0, 80))
def test_headers(content: dict[str, Any], more: int) -> None:
    raw = json.dumps(content).encode()
    found = quietly(parse_header, raw, 8 + len(raw) + more)
    if found is not None:  # what is accepted tiles the file
        ends = sorted((e.begin, e.end) for e in found.entries.values())
        assert sum(b - a for a, b in ends) == more


@MANY
@given(
    st.dictionaries(st.text(max_size=5), st.text("ab./\\:\0", max_size=8) | VALUES, max_size=4), st.booleans()
)
def test_indexes(names: dict[str, Any], wrapped: bool) -> None:
    for name in (
        quietly(shard_names, json.dumps({"weight_map": names} if wrapped else names).encode(), "i") or ()
    ):
        assert Path("/home/x", name).parent == Path("/home/x")
        assert ".." not in Path(name).parts


@MANY
@given(COLUMNS, CELLS, st.binary(max_size=8))
def test_csv(tmp_path_factory: pytest.TempPathFactory, head: str, cells: str, noise: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(head.encode() + cells.encode() + noise)
    quietly(read_csv, path)


@MANY
@given(
    st.lists(
        st.one_of(VALUES.map(json.dumps), st.text(max_size=8), st.just('{"step": 1, "a": 2}')), max_size=4
    )
)
def test_jsonl(tmp_path_factory: pytest.TempPathFactory, rows: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text("\n".join(rows), "utf-8", "surrogatepass")
    quietly(read_jsonl, path)


NAMES = st.text() | st.text("=+-@＝\t\r\n <>&%{}$'\"\x1b\u202e\u2028;a", max_size=12) | st.binary(max_size=12)


@MANY
@given(NAMES)
def test_escaping(name: str | bytes) -> None:
    data = (
        name
        if isinstance(name, bytes)
        else name.encode("utf-8", "surrogateescape" if name.isascii() else "replace")
    )
    quietly(escaped_page, data)
    quietly(escaped_text, data)


def test_a_table_is_the_same_in_a_spreadsheet() -> None:
    from opalesce.measure.table import write_csv

    frame = pd.DataFrame({"name": ["=1+1", "\t=1", "\r@x", "＝1", " =1", "a,b\n=c", "plain"], "value": 1.0})
    out = Path(write_csv(frame, Path("t.csv").absolute()))
    try:
        cells = pd.read_csv(io.StringIO(out.read_text("utf-8")))["name"].tolist()
    finally:
        out.unlink()
    assert cells == ["'=1+1", "\\t=1", "\\r@x", "'＝1", "' =1", "a,b\\n=c", "plain"]


def test_a_hundred_thousand_tensors_take_little_time() -> None:
    entries = {
        f"t{i}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]} for i in range(100_000)
    }
    raw = json.dumps(entries).encode()
    start = time.process_time()
    assert len(parse_header(raw, 8 + len(raw) + 400_000).entries) == 100_000
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"a": {"dtype": "F32", "shape": [2**62] * 100_000, "data_offsets": [0, 4]}}, "too many sides"),
        ({"experts": {"dtype": "F32", "shape": [2**62, 4, 0], "data_offsets": [0, 0]}}, "beyond any file"),
    ],
)
def test_sides_that_no_array_has(content: dict[str, Any], says: str) -> None:
    raw = json.dumps(content).encode()
    with pytest.raises(FormatError, match=says):
        parse_header(raw, 12 + len(raw))


def test_limits_of_size_and_depth(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    path.write_bytes(b"[" + b" " * 100 + b"]")
    with pytest.raises(FormatError, match="too large"):
        bounded.read_json(path, 50)
    assert bounded.read_json(path, 102) == []
    with pytest.raises(FormatError, match="too large"):
        bounded.read_bytes(Path("/dev/zero"), 1000)
    deep = bounded.MAX_DEPTH
    assert bounded.parse_json("[" * deep + "]" * deep, "x")
    with pytest.raises(FormatError, match="nested too deeply"):
        bounded.parse_json("[" * (deep + 2) + "]" * (deep + 2), "x")
    with pytest.raises(FormatError, match="too many values"):
        bounded.parse_json(b"[" + b"1," * bounded.MAX_VALUES + b"1]", "x")
    with pytest.raises(FormatError, match="names a key twice"):
        bounded.parse_json('{"a": 1, "b": 2, "a": 3}', "x", unique=True)
    assert bounded.parse_json("[" + "9" * 400 + "]", "x") == [math.inf]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("wide.csv", b"step," + b"a," * bounded.MAX_COLUMNS, "too large a table"),
        ("line.csv", b"step,loss\n" + b" " * (bounded.MAX_LINE + 1), "a line is too long"),
        ("bomb.csv.gz", gzip.compress(b"step,loss\n" + b"1,1\n" * 5_000_000), "too large once unpacked"),
    ],
)
def test_limits_of_tables(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=says):
        read_csv(tmp_path / name)


def test_a_configuration_beyond_its_weights_makes_no_model(tmp_path: Path) -> None:
    from opalesce.measure import decoder

    path = write(tmp_path / "model.safetensors", {"model.embed_tokens.weight": np.ones((4, 8), np.float32)})
    sizes = dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size"), 10**9)
    config = {**sizes, "num_hidden_layers": 10**9, "num_attention_heads": 1}
    with pytest.raises(FormatError, match="a larger model than these weights"):
        decoder.from_checkpoint(checkpoint(path, 0), config)
    for key, odd in (
        ("num_hidden_layers", "x"),
        ("hidden_size", True),
        ("rope_theta", "a"),
        ("head_dim", [1]),
    ):
        with pytest.raises(FormatError):
            decoder.sizes_of({**config, key: odd})
