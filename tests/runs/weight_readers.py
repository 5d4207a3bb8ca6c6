"""Readers of weights that work on bytes: name -> (callable(path), a sound file); for tests and fuzzing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgpack

from opalesce.runs.flax_file import parse
from opalesce.runs.header import read_header
from opalesce.runs.hub_open import parse_address
from opalesce.runs.orbax import OrbaxCheckpoint
from opalesce.runs.shards import shard_names

_HEADER = json.dumps(
    {
        "__metadata__": {"format": "pt"},
        "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "x": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [16, 19]},
    }
).encode()
_ARRAY = msgpack.ExtType(1, msgpack.packb([[2, 2], "float32", bytes(16)]))
_LEAF = {
    "key_metadata": [{"key": "params", "key_type": 2}, {"key": "w", "key_type": 2}],
    "value_metadata": {"value_type": "jax.Array", "skip_deserialize": False},
}

# the last word of a name is that of its file
WEIGHT_READERS: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "safetensors header model.safetensors": (
        read_header,
        len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(19),
    ),
    "shard index model.safetensors.index.json": (
        lambda p: shard_names(p.read_bytes(), p.name),
        json.dumps({"weight_map": {"w": "model-00001-of-00001.safetensors"}}).encode(),
    ),
    "flax flax_model.msgpack": (
        lambda p: parse(p.read_bytes(), p.name),
        msgpack.packb({"params": {"w": _ARRAY}, "step": 3}),
    ),
    "orbax _METADATA": (
        lambda p: OrbaxCheckpoint(0, (p.parent,)).names,
        json.dumps({"tree_metadata": {"('params', 'w')": _LEAF}, "use_zarr3": False}).encode(),
    ),
    "hub address.txt": (
        lambda p: parse_address(p.read_bytes().decode("utf-8", "surrogateescape")),
        b"hf://org/model@step*",
    ),
}
