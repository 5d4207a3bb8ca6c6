"""Parts of stored tensors: Q, K and V of a fused projection, one expert of a stack of experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from opalesce.measure.roles import role_of
from opalesce.runs.run import TensorInfo

MAX_EXPERTS = 10_000  # of one stack; a file without content may promise any number
INTERLEAVED = ("gpt_neox", "gpt_neox_japanese", "bloom", "persimmon")  # (heads, 3, width of a head) rows


@dataclass(frozen=True)
class Cut:
    """One part of a tensor.

    `rows` and `columns`: entries `start` to `stop` along that side. `interleaved`: number `start` of the
    three in each of `heads` heads. `slab`: number `start` along the first of three dimensions.
    """

    rule: Literal["rows", "columns", "interleaved", "slab"]
    start: int
    stop: int = 0
    heads: int = 0

    def of(self, w: NDArray[Any]) -> NDArray[Any]:
        """The part, as a matrix (a slab is cut when it is read)."""
        if self.rule == "rows":
            return w[self.start : self.stop]
        if self.rule == "columns":
            return np.ascontiguousarray(w[:, self.start : self.stop])
        if self.rule == "interleaved":
            return np.ascontiguousarray(
                w.reshape(self.heads, 3, -1, w.shape[1])[:, self.start].reshape(-1, w.shape[1])
            )
        return w


def cuts(info: TensorInfo, config: Mapping[str, object]) -> dict[str, Cut]:
    """Names and rules of the parts of a tensor; empty where it is whole or its layout is not known.

    `query_key_value` is cut only where the configuration names a model that interleaves heads (GPT-NeoX,
    BLOOM) and their number: other models of that name differ. `c_attn` stored (d, 3 d) is cut by columns; all
    other names (`qkv_proj`, `Wqkv`, `in_proj_weight`, `qkv`) hold Q, K, V one after the other, in thirds, or
    by the numbers of heads and key heads.
    """
    if len(info.shape) == 3 and "experts" in info.name and info.shape[0] <= MAX_EXPERTS:
        return {f"expert{i}": Cut("slab", i) for i in range(info.shape[0])}
    if len(info.shape) != 2 or role_of(info.name).part != "qkv":
        return {}
    kind, rows = str(config.get("model_type", "")), info.shape[0]
    heads = _whole(config, "num_attention_heads", "n_head", "num_heads")
    groups = _whole(config, "num_key_value_heads", "n_head_kv") or heads
    if "query_key_value" in info.name:
        if kind in INTERLEAVED and heads and rows % (3 * heads) == 0:
            return {p: Cut("interleaved", i, heads=heads) for i, p in enumerate("qkv")}
        return {}
    if info.shape[1] == 3 * rows:
        return {p: Cut("columns", i * rows, (i + 1) * rows) for i, p in enumerate("qkv")}
    if rows == 3 * info.shape[1] and (groups == heads or not heads):
        third = rows // 3
        return {p: Cut("rows", i * third, (i + 1) * third) for i, p in enumerate("qkv")}
    if heads and groups and rows % (heads + 2 * groups) == 0:
        one = rows // (heads + 2 * groups)
        ends = [0, heads * one, (heads + groups) * one, rows]
        return {p: Cut("rows", ends[i], ends[i + 1]) for i, p in enumerate("qkv")}
    return {}


def _whole(config: Mapping[str, object], *keys: str) -> int:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and value > 0:
            return value
    return 0
