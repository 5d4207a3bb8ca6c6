"""The recorder on real models, and activations from files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import FormatError, InputError, MissingExtra
from opalesce.runs.safetensors import write

torch = pytest.importorskip("torch")
from opalesce.measure import models  # noqa: E402
from opalesce.measure.decoder import Decoder, Sizes  # noqa: E402
from opalesce.measure.record import Reservoir, batches, blocks_of, normed, open_shards, record  # noqa: E402
from opalesce.measure.words import Words  # noqa: E402
from tests.measure.library import library_model  # noqa: E402

SIZES = Sizes(20, 16, 24, 3, 2)
TOKENS = [[1, 5, 3, 7], [2, 2, 9, 0]]


def keep(layer: int, h: np.ndarray) -> np.ndarray:
    return h.copy()


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama"])
def test_layers_of_the_librarys_models(kind):
    """All but the last of its hidden states, which it gives after the final norm."""
    model = library_model(kind)
    mine = record(model, TOKENS, keep)
    with torch.no_grad():
        theirs = model(torch.tensor(TOKENS), output_hidden_states=True).hidden_states
    assert len(mine) == len(theirs) == 4
    for a, b in zip(mine[:-1], theirs[:-1], strict=True):
        assert a == pytest.approx(b.numpy(), abs=1e-6)


def test_layers_of_the_decoder_and_its_hooks_go_away():
    model = Decoder(SIZES, 0).eval()
    found = record(model, TOKENS, keep)
    with torch.no_grad():
        x = model.model.embed_tokens(torch.tensor(TOKENS))
        for layer, h in enumerate(found):
            assert h == pytest.approx(x.numpy(), abs=1e-6)
            x = model.model.layers[layer](x) if layer < 3 else x
    with pytest.raises(InputError):
        record(model, TOKENS, refuse)
    assert not any(b._forward_hooks or b._forward_pre_hooks for b in model.model.layers)


def refuse(layer: int, h: np.ndarray) -> None:
    raise InputError("no")


def test_a_layer_with_nan_is_named():
    model = Decoder(SIZES, 0).eval()
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match="layer 2 holds NaN"):
        record(model, TOKENS, keep)
    with pytest.raises(InputError, match="wrong shape"):
        record(model, [1, 2], keep)


def test_which_blocks():
    model = Decoder(SIZES, 0)
    assert blocks_of(model) == list(model.model.layers)
    experts = torch.nn.ModuleList(
        torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(9)) for _ in range(2)
    )
    assert len(blocks_of(torch.nn.Sequential(experts))) == 2  # the outer list, not the longer inner ones
    with pytest.raises(InputError, match="no blocks"):
        blocks_of(torch.nn.Linear(2, 2))


def test_batches_are_of_one_length_and_complete():
    prompts = [[0] * n for n in (3, 5, 3, 3, 5)]
    found = list(batches(prompts, 2))
    assert all(len({len(prompts[i]) for i in b}) == 1 and len(b) <= 2 for b in found)
    assert sorted(np.concatenate(found).tolist()) == [0, 1, 2, 3, 4]


def test_reservoir_is_uniform():
    """Each of 40 rows is in a sample of 10 with probability 1/4; standard error over 2000 draws 0.0097."""
    count = np.zeros(40)
    for seed in range(2000):
        r = Reservoir(10, np.random.default_rng(seed))
        r.add(np.arange(25.0)[:, None], range(25))
        r.add(np.arange(25.0, 40)[:, None], range(25, 40))
        count[r.labels] += 1
        assert r.points[:, 0].tolist() == r.labels
    assert count / 2000 == pytest.approx(0.25, abs=0.04)


def test_normed():
    h = np.random.default_rng(0).standard_normal((4, 5, 8)) + 3
    assert (normed(h) ** 2).mean(-1) == pytest.approx(1)
    assert normed(h, centre=True).mean(-1) == pytest.approx(0, abs=1e-12)
    assert normed(np.zeros((1, 1, 4))).tolist() == [[[0, 0, 0, 0]]]


# ---- files ----------------------------------------------------------------------------------------------


def test_shards_of_both_kinds(tmp_path: Path):
    rng = np.random.default_rng(1)
    layers = [rng.standard_normal((6, 5, 4)).astype(np.float32) for _ in range(12)]
    for k, h in enumerate(layers):
        np.save(tmp_path / f"layer_{k}.npy", h)
    found = open_shards(tmp_path)
    assert found.layers == tuple(range(12))  # by number, not by name
    assert found.read(10) == pytest.approx(layers[10])
    assert found.read(2, slice(1, 3)) == pytest.approx(layers[2][1:3])
    write(tmp_path / "x.safetensors", {f"residual.{k}": h for k, h in enumerate(layers)})
    assert open_shards(tmp_path / "x.safetensors").read(11) == pytest.approx(layers[11])


def test_bad_shards(tmp_path: Path):
    def folder(name: str, **arrays: np.ndarray) -> Path:
        (tmp_path / name).mkdir()
        for k, a in arrays.items():
            np.save(tmp_path / name / f"{k}.npy", a, allow_pickle=True)
        return tmp_path / name

    good = np.ones((5, 3))
    for path, error in (
        (folder("empty"), InputError),
        (folder("shapes", a0=good, a1=np.ones((5, 4))), InputError),
        (folder("flat", a0=np.ones(5)), InputError),
        (folder("nameless", a=good), InputError),
        (folder("twice", a0=good, b0=good), InputError),
        (folder("pickle", a0=np.array([{}, 1], object)), FormatError),
        (folder("text", a0=np.array(["a"])), FormatError),
        (folder("none", a0=np.empty((0, 3))), InputError),
    ):
        with pytest.raises(error):
            open_shards(path)
    with pytest.raises(InputError, match="layer 1 holds NaN"):
        open_shards(folder("nan", a0=good, a1=np.full((5, 3), np.nan))).read(1)


# ---- models from folders --------------------------------------------------------------------------------


def test_a_library_model_from_a_folder(tmp_path: Path):
    model = library_model("gpt2")
    model.save_pretrained(tmp_path, safe_serialization=True)
    loaded, encode = models.load_model(tmp_path)
    assert encode is None
    with torch.no_grad():
        assert torch.allclose(loaded(torch.tensor(TOKENS)).logits, model(torch.tensor(TOKENS)).logits)


def test_a_llama_needs_no_library(tmp_path: Path, monkeypatch):
    Decoder(SIZES, 0).save(tmp_path)
    Words({f"w{i}": i for i in range(20)}).save(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    model, encode = models.load_model(tmp_path)
    assert isinstance(model, Decoder)
    assert encode is not None
    assert encode("w3 w1") == [3, 1]
    config = json.loads((tmp_path / "config.json").read_text()) | {"model_type": "gpt2"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MissingExtra, match=r"opalesce\[hf\]"):
        models.load_model(tmp_path)


def test_pickles_and_nothing_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no model"):
        models.load_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FormatError, match="run code"):
        models.load_model(tmp_path)


def test_random_weights_keep_sizes_and_ties():
    model = Decoder(Sizes(20, 16, 24, 3, 2, tie_word_embeddings=True), 0).eval()
    twin = models.random_weights(model, 1)
    assert twin.lm_head.weight is twin.model.embed_tokens.weight
    for (name, a), (_, b) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        if a.ndim == 2:
            assert not torch.equal(a, b), name
            old, new = float(a.detach().std()), float(b.detach().std())
            assert new == pytest.approx(old, rel=0.15)  # of 256 entries or more: standard error 4.4 %
        else:
            assert torch.equal(a, b)


def test_prompts(tmp_path: Path):
    text, rows = tmp_path / "p.txt", tmp_path / "p.jsonl"
    text.write_text("w1 w2\n\nw3\n")
    encode = Words({f"w{i}": i for i in range(5)}).encode
    assert models.read_prompts(text, encode) == [[1, 2], [3]]
    rows.write_text('{"text": "w4"}\n{"tokens": [1, 2]}\n')
    assert models.read_prompts(rows, encode) == [[4], [1, 2]]
    shuffled = models.shuffled_tokens([[1, 2, 3], [4, 4]], np.random.default_rng(0))
    assert [sorted(p) for p in shuffled] == [[1, 2, 3], [4, 4]]
    for bad in ("{", '{"tokens": []}', '{"tokens": [-1]}', '{"tokens": ["a"]}', "3", ""):
        rows.write_text(bad)
        with pytest.raises(InputError):
            models.read_prompts(rows, encode)
    with pytest.raises(InputError, match="no tokenizer"):
        models.read_prompts(text, None)
    with pytest.raises(InputError, match="no such file"):
        models.read_prompts(tmp_path / "absent", encode)
