"""Small models of the transformers library, with random weights."""

from __future__ import annotations

from typing import Any

import pytest


def library_model(kind: str) -> Any:
    library = pytest.importorskip("transformers")
    common = {"vocab_size": 20, "use_cache": False, "bos_token_id": 0, "eos_token_id": 0}
    if kind == "gpt2":
        config = library.GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=32, **common)
    else:
        sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
        config = library.AutoConfig.for_model(kind, **sizes, **common)
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return library.AutoModelForCausalLM.from_config(config).float().eval()
