"""The small decoder: saved and read back, causal, and the same function as the library's LLaMA."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import FormatError, InputError
from opalesce.measure.words import Words
from opalesce.runs.safetensors import write

torch = pytest.importorskip("torch")
decoder = pytest.importorskip("opalesce.measure.decoder")

SIZES = decoder.Sizes(50, 32, 48, 2, 4, 2)


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(0, 50, (3, 9), generator=torch.Generator().manual_seed(1))


def net(seed: int = 3) -> decoder.Decoder:
    return decoder.Decoder(SIZES, seed).eval()


def test_saved_and_read_back(tmp_path: Path, tokens):
    net().save(tmp_path)
    with torch.no_grad():
        assert torch.equal(decoder.load(tmp_path)(tokens), net()(tokens))


def test_it_is_the_librarys_llama(tmp_path: Path, tokens):
    transformers = pytest.importorskip("transformers")
    mine = net()
    with torch.no_grad():
        for p in mine.parameters():  # norms of one and weights of 0.02 would hide mistakes
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) * 0.2)
    mine.save(tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    with torch.no_grad():
        assert torch.allclose(mine(tokens), theirs(tokens).logits, atol=2e-4, rtol=1e-4)


def test_no_token_sees_its_future(tokens):
    with torch.no_grad():
        before = net()(tokens)
        tokens[:, 5] = (tokens[:, 5] + 1) % 50
        after = net()(tokens)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_attention_scores_are_those_of_the_forward_pass(tokens):
    model = net()
    with torch.no_grad():
        x = model.model.embed_tokens(tokens)
        block = model.model.layers[0]
        y = block.input_layernorm(x)
        _, _, v = block.self_attn.split(y)
        by_hand = torch.softmax(model.attention_scores(tokens)[0], -1) @ v
        by_hand = block.self_attn.o_proj(by_hand.transpose(1, 2).reshape(3, 9, -1))
        assert torch.allclose(by_hand, block.self_attn(y), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"rope_scaling": {"type": "linear"}}, "plain LLaMA"),
        ({"attention_bias": True}, "plain LLaMA"),
        ({"hidden_size": None}, "missing"),
        ({"hidden_size": 31}, "make no decoder"),
        ({"intermediate_size": 40}, "does not fit"),
    ],
)
def test_what_it_cannot_do_is_said(tmp_path: Path, change, match):
    net().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | change
    config = {k: v for k, v in config.items() if v is not None}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=match):
        decoder.load(tmp_path)


def test_a_bad_tensor_is_refused(tmp_path: Path):
    arrays = net().arrays()
    arrays["model.layers.1.mlp.up_proj.weight"][0, 0] = np.nan
    net().save(tmp_path)
    write(tmp_path / "model.safetensors", arrays)
    with pytest.raises(FormatError, match=r"up_proj.*NaN"):
        decoder.load(tmp_path)


def test_vocabulary(tmp_path: Path):
    Words({"a": 0, "b": 1}).save(tmp_path)
    assert Words.load(tmp_path).encode(" a b  a") == [0, 1, 0]
    with pytest.raises(InputError, match="no word 'c'"):
        Words.load(tmp_path).encode("a c")
    Words({"a": 0, "?": 1}, "?").save(tmp_path)
    assert Words.load(tmp_path).encode("a c") == [0, 1]
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(FormatError):
        Words.load(tmp_path)
