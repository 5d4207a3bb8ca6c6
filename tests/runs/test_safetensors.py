"""The reader against the safetensors library, and against hostile files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opalesce.errors import FormatError, InputError
from opalesce.runs.header import parse_header, read_header
from opalesce.runs.run import Checkpoint
from opalesce.runs.safetensors import (
    SafetensorsCheckpoint,
    checkpoint,
    decode,
    sample_index,
    shard_names,
    shards_of,
    write,
)

DTYPES = ["f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


def pack(header: object, data: bytes = b"", pad: int = 0) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode() + b" " * pad
    return len(raw).to_bytes(8, "little") + raw + data


def arrays(rng: np.random.Generator) -> dict[str, np.ndarray]:
    out = {f"t{d}": (rng.normal(0, 50, (3, 5)) % 100).astype(d) for d in DTYPES}
    return out | {"scalar": np.array(3.5, np.float32), "empty": np.empty((0, 4), np.float32)}


def test_reads_what_the_library_writes(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    want = arrays(np.random.default_rng(0))
    save_file(want, tmp_path / "a.safetensors", {"k": "v"})
    c: Checkpoint = SafetensorsCheckpoint(3, (tmp_path / "a.safetensors",))
    infos = c.tensors()
    assert set(infos) == set(want)
    for name, w in want.items():
        got = c.read(name)
        assert got.shape == w.shape == infos[name].shape
        assert got.dtype == (np.float32 if w.dtype == np.float16 else w.dtype)
        assert np.array_equal(got, w.astype(got.dtype))
        assert infos[name].nbytes == w.nbytes


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file

    want = arrays(np.random.default_rng(1))
    path = write(tmp_path / "a.safetensors", want, {"step": "7"})
    got = load_file(path)
    assert set(got) == set(want)
    for name, w in want.items():
        assert got[name].dtype == w.dtype
        assert np.array_equal(got[name], w)
    with safe_open(path, "np") as file:
        assert file.metadata() == {"step": "7"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.torch
def test_bf16_equals_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    every = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    save_file({"w": every}, tmp_path / "a.safetensors")
    got = SafetensorsCheckpoint(0, (tmp_path / "a.safetensors",)).read("w")
    want = every.float().numpy()
    assert got.dtype == np.float32
    assert np.array_equal(got.view(np.uint32)[~np.isnan(want)], want.view(np.uint32)[~np.isnan(want)])
    assert np.array_equal(np.isnan(got), np.isnan(want))


def test_f16_is_decoded_without_loss() -> None:
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    got = decode(every, "F16")
    assert got.dtype == np.float32
    assert np.array_equal(got.astype(np.float16), every, equal_nan=True)


def test_unknown_dtype_is_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "q.safetensors"
    entry = {"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}
    path.write_bytes(pack(entry, b"abcd"))
    c = SafetensorsCheckpoint(0, (path,))
    assert c.tensors()["w"].shape == (4,)
    with pytest.raises(FormatError, match="F8_E4M3"):
        c.read("w")
    entry["w"]["dtype"] = "F4"
    path.write_bytes(pack(entry, b"abcd"))
    with pytest.raises(FormatError, match="unknown"):
        SafetensorsCheckpoint(0, (path,)).tensors()


def one(shape: list[int], span: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": span}


@pytest.mark.parametrize(
    ("header", "size", "says"),
    [
        ({"a": one([2], [0, 8])}, 4, "shorter"),
        ({"a": one([2], [0, 8])}, 12, "longer"),
        ({"a": one([2], [0, 8]), "b": one([1], [4, 8])}, 8, "overlaps"),
        ({"a": one([1], [0, 4]), "b": one([1], [8, 12])}, 12, "hole"),
        ({"a": one([3], [0, 8])}, 8, "disagree"),
        ({"a": one([2**62, 2**62], [0, 8])}, 8, "disagree"),
        ({"a": one([-1], [0, 8])}, 8, "shape"),
        ({"a": one([True], [0, 4])}, 4, "shape"),
        ({"a": one([1], [4, 0])}, 4, "offsets"),
        ({"a": {"dtype": "F32"}}, 0, "entry"),
        ({"a": 3}, 0, "entry"),
        ({"__metadata__": {"a": 1}}, 0, "__metadata__"),
        (b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}', 0, "twice"),
        (b'{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}', 0, "twice"),
        (b"[1]", 0, "JSON"),
        (b"{\xff}", 0, "JSON"),
        (b'{"a":' * 100_000, 0, "JSON"),
        (b'{"\\ud800":{}}', 0, "Unicode"),
    ],
)
def test_bad_headers_are_refused(tmp_path: Path, header: object, size: int, says: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(pack(header, bytes(size)))
    with pytest.raises(FormatError, match=says) as caught:
        SafetensorsCheckpoint(0, (path,)).tensors()
    assert str(path) in str(caught.value)


def test_truncated_file_states_both_sizes(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", {"w": np.ones((10, 10), np.float32)})
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-150])
    with pytest.raises(FormatError, match="shorter") as caught:
        read_header(path)
    assert f"{whole} bytes" in caught.value.expected
    assert f"{whole - 150} bytes" in caught.value.got
    path.write_bytes((10**9).to_bytes(8, "little") + b"{}")
    with pytest.raises(FormatError, match="100000000"):
        read_header(path)
    path.write_bytes((50).to_bytes(8, "little") + b"{}")
    with pytest.raises(FormatError, match="inside its header"):
        read_header(path)
    path.write_bytes(b"abc")
    with pytest.raises(FormatError, match="too short"):
        read_header(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_header(tmp_path / "absent")


SEED = pack(
    {"a": one([2, 1], [0, 8]), "bé": one([3], [8, 14], "BF16"), "__metadata__": {"x": "y"}}, bytes(14)
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255), st.sampled_from("srdi")), max_size=6
    )
)
def test_mutated_files_raise_only_format_errors(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    raw = bytearray(SEED)
    for at, byte, how in edits:
        at = min(at, max(0, len(raw) - 1))
        if how == "s" and raw:
            raw[at] = byte
        elif how == "r":
            del raw[at:]
        elif how == "d":
            del raw[at : at + 1 + byte % 8]
        else:
            raw[at:at] = bytes([byte])
    path = tmp_path / "fuzz.safetensors"
    path.write_bytes(raw)
    c = SafetensorsCheckpoint(0, (path,))
    try:
        for name, info in c.tensors().items():
            if info.dtype in ("F32", "BF16"):
                assert c.read(name).shape == info.shape
    except FormatError:
        pass


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.sampled_from(["F32", "U8", "x"]),
    lambda t: (
        st.lists(t, max_size=3)
        | st.dictionaries(
            st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "a"]), t, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(header=_json, size=st.integers(0, 64))
def test_any_json_header_raises_only_format_errors(header: object, size: int) -> None:
    raw = json.dumps(header).encode()
    try:
        parsed = parse_header(raw, 8 + len(raw) + size)
    except FormatError:
        return
    assert sum(e.end - e.begin for e in parsed.entries.values()) == size


def test_sharded_index(tmp_path: Path) -> None:
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(4, dtype=np.int64)
    write(tmp_path / "model-00001-of-00002.safetensors", {"a": a})
    write(tmp_path / "model-00002-of-00002.safetensors", {"b": b})
    index = tmp_path / "model.safetensors.index.json"
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    c = checkpoint(index, 5)
    assert len(c.paths) == 2
    assert np.array_equal(c.read("a"), a)
    assert np.array_equal(c.read("b"), b)
    write(tmp_path / "model-00002-of-00002.safetensors", {"a": a})
    with pytest.raises(FormatError, match="also in"):
        checkpoint(index, 5).tensors()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a\\b", "..", "", "c:x", "sub/x", "a\0b", 3, None])
def test_an_index_cannot_lead_out_of_its_folder(tmp_path: Path, name: object) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(FormatError):
        shards_of(index)


def test_a_link_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    outside = write(tmp_path / "secret.safetensors", {"w": np.ones(2)})
    home = tmp_path / "home"
    home.mkdir()
    (home / "s.safetensors").symlink_to(outside)
    index = home / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"w": "s.safetensors"}}')
    with pytest.raises(FormatError, match="outside"):
        shards_of(index)
    index.write_text('{"weight_map": {}}')
    with pytest.raises(FormatError, match="no shard"):
        shards_of(index)


def test_identity(tmp_path: Path) -> None:
    import hashlib

    w = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    a = SafetensorsCheckpoint(0, (write(tmp_path / "a.safetensors", {"w": w}),))
    b = SafetensorsCheckpoint(1, (write(tmp_path / "b.safetensors", {"w": w}),))
    assert a.fingerprint() == SafetensorsCheckpoint(0, a.paths).fingerprint() != b.fingerprint()
    assert a.digest("w") == b.digest("w")
    assert a.sha256() == hashlib.sha256(a.paths[0].read_bytes()).hexdigest() == b.sha256()
    w2 = w.copy()
    hidden = np.setdiff1d(np.arange(w.size), sample_index(w.size))[0]
    w2[hidden] += 1  # between the sampled blocks: only the full digest sees it
    c = SafetensorsCheckpoint(1, (write(tmp_path / "c.safetensors", {"w": w2}),))
    assert c.digest("w") == a.digest("w")
    assert c.digest("w", full=True) != a.digest("w", full=True)
    w2[0] += 1
    d = SafetensorsCheckpoint(1, (write(tmp_path / "d.safetensors", {"w": w2}),))
    assert d.digest("w") != a.digest("w")


@given(st.integers(0, 20_000))
def test_sample_index_holds_both_ends(n: int) -> None:
    index = sample_index(n)
    assert index.size == min(n, 4096)
    if n:
        assert index.min() == 0
        assert index.max() == n - 1
        assert np.unique(index).size == index.size


def test_stream_is_the_tensor(tmp_path: Path) -> None:
    w = np.random.default_rng(0).normal(size=(30, 7)).astype(np.float16)
    c = SafetensorsCheckpoint(0, (write(tmp_path / "a.safetensors", {"w": w}),))
    assert np.array_equal(np.concatenate(list(c.stream("w", 16))), c.read("w").ravel())
    with pytest.raises(InputError, match="no tensor"):
        c.read("nothing")
    with pytest.raises(InputError, match="complex"):
        write(tmp_path / "b.safetensors", {"w": np.ones(2, complex)})


def test_a_checkpoint_travels_to_a_worker(tmp_path: Path) -> None:
    import pickle

    c = SafetensorsCheckpoint(3, (write(tmp_path / "a.safetensors", {"w": np.ones(3)}),), 9.0)
    c.tensors()
    again = pickle.loads(pickle.dumps(c))
    assert again == c
    assert again.read("w").tolist() == [1, 1, 1]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.text(max_size=12))
def test_a_shard_index_gives_bare_names_or_a_format_error(noise: bytes, name: str) -> None:
    for raw in (noise, json.dumps({"weight_map": {"w": name}}).encode()):
        try:
            names = shard_names(raw, "index")
        except FormatError:
            continue
        assert all(n and not set(n) & set("/\\:\0") and n not in (".", "..") for n in names)
