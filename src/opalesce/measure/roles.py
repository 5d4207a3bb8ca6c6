"""What a tensor is in its model, read off its name: GPT-NeoX, LLaMA, GPT-2, BERT, Qwen, ViT and kin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from opalesce.runs.run import TensorInfo

Part = Literal[
    "q", "k", "v", "qkv", "q_a", "q_b", "kv_a", "kv_b",
    "out", "up", "gate", "gate_up", "down", "embed", "position", "unembed", "router",
    "other",
]  # fmt: skip

_BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|blocks?|resblocks)\.?(?P<block>\d+)\.(?P<tail>.+)$")
_STACK = re.compile(r"(?:model\.)?(?P<stack>encoder|decoder)\.(?:block|layers)\.\d")
_EXPERT = re.compile(r"\bexperts\.(?P<expert>\d+)\.")
_END = r"(?:\.weight)?$"
_CROSS = re.compile(r"\b(?:EncDecAttention|encoder_attn|crossattention|cross_attn)\b")
_PARTS: tuple[tuple[str, Part], ...] = (
    (r"\bDenseReluDense\.wo" + _END, "down"),
    (r"\bDenseReluDense\.wi_0" + _END, "gate"),
    (r"\bDenseReluDense\.wi(?:_1)?" + _END, "up"),
    (r"\bq_a_proj" + _END, "q_a"),
    (r"\bq_b_proj" + _END, "q_b"),
    (r"\bkv_a_proj(?:_with_mqa)?" + _END, "kv_a"),
    (r"\bkv_b_proj" + _END, "kv_b"),
    (r"\b(?:query_key_value|qkv_proj|c_attn|Wqkv|W_pack|qkv|in_proj_weight|in_proj)" + _END, "qkv"),
    (
        r"\b(?:attention\.dense|self_attention\.dense|o_proj|out_proj|wo|attn\.c_proj|attn\.proj|o)" + _END,
        "out",
    ),
    (r"\battention\.output\.dense" + _END, "out"),
    (r"\b(?:q_proj|query|q_lin|wq|q)" + _END, "q"),
    (r"\b(?:k_proj|key|k_lin|wk|k)" + _END, "k"),
    (r"\b(?:v_proj|value|v_lin|wv|v)" + _END, "v"),
    (r"\b(?:gate_up_proj)" + _END, "gate_up"),
    (r"\b(?:dense_h_to_4h|up_proj|c_fc|intermediate\.dense|fc1|fc_in|lin1|w3)" + _END, "up"),
    (r"\b(?:gate_proj|w1)" + _END, "gate"),
    (r"\b(?:dense_4h_to_h|down_proj|mlp\.c_proj|output\.dense|fc2|fc_out|lin2|w2)" + _END, "down"),
    (r"\b(?:mlp\.gate|router|block_sparse_moe\.gate)" + _END, "router"),
)
_ENDS: tuple[tuple[str, Part], ...] = (
    (r"\b(?:embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|shared|embed)" + _END, "embed"),
    (r"\b(?:wpe|position_embeddings|position|embed_positions|pos_embed)" + _END, "position"),
    (r"\b(?:lm_head|embed_out|unembed)" + _END, "unembed"),
)


@dataclass(frozen=True)
class Role:
    """Place of a tensor: what it does, number of its block, of its expert.

    `stack` is "encoder" or "decoder" where the name says it; `cross`: attention from one to the other.
    """

    part: Part
    block: int | None = None
    expert: int | None = None
    stack: str = ""
    cross: bool = False


def role_of(name: str) -> Role:
    """The role of a tensor; `other` where the name says nothing."""
    m = _BLOCK.search(name)
    if m is None:
        found = next((part for pattern, part in _ENDS if re.search(pattern, name)), None)
        return Role(found or "other")
    expert = _EXPERT.search(name)
    part = next((part for pattern, part in _PARTS if re.search(pattern, m["tail"])), None)
    stack = _STACK.match(name)
    return Role(
        part or "other",
        int(m["block"]),
        int(expert["expert"]) if expert else None,
        stack["stack"] if stack else "",
        bool(_CROSS.search(m["tail"])),
    )


def bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of three or more sides without leading ones: (1, n, d) positions are a matrix (n, d)."""
    if len(shape) > 2:
        while shape and shape[0] == 1:
            shape = shape[1:]
    return shape


def inputs_first(tensors: Mapping[str, TensorInfo]) -> bool:
    """Whether the model's matrices c_attn, c_fc, c_proj are stored (in, out), as GPT-2's Conv1D does.

    Told by the shape of c_attn: (d, 3 d) or (3 d, d).
    """
    shapes = [t.shape for name, t in tensors.items() if re.search(r"\bc_attn" + _END, name)]
    return any(len(s) == 2 and s[1] == 3 * s[0] for s in shapes)


def is_input_first(name: str, conv1d: bool) -> bool:
    """Whether this tensor is stored (in, out), given what `inputs_first` said of its model."""
    return conv1d and bool(re.search(r"\b(?:c_attn|c_fc|c_proj)" + _END, name))
