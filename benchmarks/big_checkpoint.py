"""A checkpoint of a billion BF16 parameters, written in pieces: names and shapes of Pythia-1b."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WIDTH, BLOCKS, VOCABULARY = 2048, 16, 50304


def shapes(
    width: int = WIDTH, blocks: int = BLOCKS, vocabulary: int = VOCABULARY
) -> dict[str, tuple[int, int]]:
    """Matrices of the model."""
    out = {"gpt_neox.embed_in.weight": (vocabulary, width), "embed_out.weight": (vocabulary, width)}
    for i in range(blocks):
        p = f"gpt_neox.layers.{i}."
        out[p + "attention.query_key_value.weight"] = (3 * width, width)
        out[p + "attention.dense.weight"] = (width, width)
        out[p + "mlp.dense_h_to_4h.weight"] = (4 * width, width)
        out[p + "mlp.dense_4h_to_h.weight"] = (width, 4 * width)
    return out


def write_big(folder: Path, width: int = WIDTH, blocks: int = BLOCKS, vocabulary: int = VOCABULARY) -> int:
    """Write `model.safetensors` and `config.json`; entries are Student t with 5 degrees of freedom.
    Parameters.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = shapes(width, blocks, vocabulary)
    header: dict[str, object] = {}
    at = 0
    for name, (a, b) in table.items():
        header[name] = {"dtype": "BF16", "shape": [a, b], "data_offsets": [at, at + 2 * a * b]}
        at += 2 * a * b
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    rng = np.random.default_rng(0)
    pool = (0.02 * rng.standard_t(5, 1 << 22)).astype(np.float32)  # drawn once, met at random offsets
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for a, b in table.values():
            left = a * b
            while left:
                start = int(rng.integers(0, pool.size))
                piece = np.roll(pool, start)[: min(left, pool.size)] * np.float32(1 + rng.random())
                file.write((piece.view(np.uint32) >> 16).astype(np.uint16).tobytes())
                left -= piece.size
    config = {"model_type": "gpt_neox", "num_attention_heads": 8, "hidden_size": width}
    (folder / "config.json").write_text(json.dumps(config))
    return at // 2
