"""What tensors are, how fused ones are cut, and how networks of neurons are chained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.measure.chain import chain
from opalesce.measure.cut import cuts
from opalesce.measure.plan import modules
from opalesce.measure.roles import role_of
from opalesce.measure.views import Views
from opalesce.observables.neurons import Neurons, paper_spectra, sampled
from opalesce.runs.run import TensorInfo
from opalesce.runs.safetensors import SafetensorsCheckpoint, write

P = "gpt_neox.layers.3."
L = "model.layers.3."
G = "transformer.h.3."
B = "bert.encoder.layer.3."
V = "vit.encoder.layer.3."


@pytest.mark.parametrize(
    ("name", "part", "block", "expert"),
    [
        (P + "attention.query_key_value.weight", "qkv", 3, None),
        (P + "attention.dense.weight", "out", 3, None),
        (P + "mlp.dense_h_to_4h.weight", "up", 3, None),
        (P + "mlp.dense_4h_to_h.weight", "down", 3, None),
        (P + "input_layernorm.weight", "other", 3, None),
        ("gpt_neox.embed_in.weight", "embed", None, None),
        ("embed_out.weight", "unembed", None, None),
        (L + "self_attn.q_proj.weight", "q", 3, None),
        (L + "self_attn.o_proj.weight", "out", 3, None),
        (L + "mlp.gate_proj.weight", "gate", 3, None),
        (L + "mlp.gate_up_proj.weight", "gate_up", 3, None),
        (L + "mlp.down_proj.weight", "down", 3, None),
        (L + "block_sparse_moe.experts.5.w1.weight", "gate", 3, 5),
        (L + "block_sparse_moe.experts.5.w2.weight", "down", 3, 5),
        (L + "block_sparse_moe.gate.weight", "router", 3, None),
        (L + "mlp.experts.gate_up_proj", "gate_up", 3, None),
        (G + "attn.c_attn.weight", "qkv", 3, None),
        (G + "attn.c_proj.weight", "out", 3, None),
        (G + "mlp.c_fc.weight", "up", 3, None),
        (G + "mlp.c_proj.weight", "down", 3, None),
        ("transformer.wte.weight", "embed", None, None),
        ("transformer.wpe.weight", "position", None, None),
        (B + "attention.self.query.weight", "q", 3, None),
        (B + "attention.output.dense.weight", "out", 3, None),
        (B + "intermediate.dense.weight", "up", 3, None),
        (B + "output.dense.weight", "down", 3, None),
        (V + "attention.attention.value.weight", "v", 3, None),
        ("blocks.3.attn.qkv.weight", "qkv", 3, None),
        ("blocks.3.attn.proj.weight", "out", 3, None),
        ("blocks.3.mlp.fc1.weight", "up", 3, None),
        ("layer3.q.weight", "q", 3, None),
        ("lm_head.weight", "unembed", None, None),
        ("classifier.0.weight", "other", None, None),
    ],
)
def test_roles(name, part, block, expert):
    role = role_of(name)
    assert (role.part, role.block, role.expert) == (part, block, expert)


def info(name: str, *shape: int) -> TensorInfo:
    return TensorInfo(name, "F32", shape, 0, Path("x"))


def header(shapes: dict[str, tuple[int, ...]]) -> dict[str, TensorInfo]:
    return {k: info(k, *s) for k, s in shapes.items()}


NEOX = {
    P + "attention.query_key_value.weight": (24, 8),
    P + "attention.dense.weight": (8, 8),
    P + "mlp.dense_h_to_4h.weight": (32, 8),
    P + "mlp.dense_4h_to_h.weight": (8, 32),
    P + "input_layernorm.weight": (8,),
}


def test_fused_projections_are_cut_as_the_config_says():
    w = np.arange(24 * 8.0).reshape(24, 8)
    name = P + "attention.query_key_value.weight"
    neox = cuts(info(name, 24, 8), {"model_type": "gpt_neox", "num_attention_heads": 2})
    assert neox["k"].of(w)[:, 0].tolist() == [8 * r for r in (4, 5, 6, 7, 16, 17, 18, 19)]
    assert cuts(info(name, 24, 8), {}) == {}  # no config: left whole
    assert cuts(info(name, 24, 8), {"model_type": "falcon", "num_attention_heads": 2}) == {}
    gpt2 = cuts(info(G + "attn.c_attn.weight", 8, 24), {"model_type": "gpt2"})
    assert np.array_equal(gpt2["v"].of(w.T), w.T[:, 16:])
    phi = {"model_type": "phi3", "num_attention_heads": 4, "num_key_value_heads": 1}
    phi3 = cuts(info(L + "self_attn.qkv_proj.weight", 24, 16), phi)
    assert [phi3[p].of(w).shape[0] for p in "qkv"] == [16, 4, 4]
    vit = cuts(info("blocks.0.attn.qkv.weight", 24, 8), {})
    assert np.array_equal(vit["k"].of(w), w[8:16])


def test_modules_and_views_of_a_checkpoint_with_fused_and_stacked_tensors(tmp_path: Path):
    rng = np.random.default_rng(0)
    stack = L + "mlp.experts.down_proj"
    arrays = {k: rng.standard_normal(s).astype(np.float32) for k, s in NEOX.items()}
    arrays[stack] = rng.standard_normal((3, 32, 8)).astype(np.float32)
    c = SafetensorsCheckpoint(0.0, (write(tmp_path / "a.safetensors", arrays),))
    config = {"model_type": "gpt_neox", "num_attention_heads": 2}
    found = {m.name: m for m in modules([c], config)}
    qkv = P + "attention.query_key_value.weight"
    assert {f"{qkv}#q", f"{qkv}#k", f"{qkv}#v", f"{stack}#expert2", "network"} <= set(found)
    assert qkv not in found
    assert np.array_equal(Views(found[f"{stack}#expert2"], c, config=config).weight, arrays[stack][2])
    q = Views(found[f"{qkv}#q"], c, config=config).weight
    assert np.array_equal(q, arrays[qkv].reshape(2, 3, 4, 8)[:, 0].reshape(8, 8))
    assert np.array_equal(c.read(stack, 1), arrays[stack][1])
    with pytest.raises(InputError, match="no entry 3"):
        c.read(stack, 3)


def parts(shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(c.part, c.sources, c.sizes) for c in chain(header(shapes), {})]


def test_chains():
    block = [("qkv", 8, (24,)), ("out", 8, (8,)), ("up", 8, (32,)), ("down", 32, (8,))]
    assert parts(NEOX) == block
    assert parts({k.replace("3", str(i)): s for i in (10, 2) for k, s in NEOX.items()}) == block * 2
    llama = {
        L + "self_attn.q_proj.weight": (8, 8),
        L + "self_attn.k_proj.weight": (4, 8),
        L + "self_attn.v_proj.weight": (4, 8),
        L + "self_attn.o_proj.weight": (8, 8),
        L + "mlp.gate_proj.weight": (20, 8),
        L + "mlp.up_proj.weight": (20, 8),
        L + "mlp.down_proj.weight": (8, 20),
    }
    assert parts(llama) == [("qkv", 8, (8, 4, 4)), ("out", 8, (8,)), ("up", 8, (20, 20)), ("down", 20, (8,))]
    gpt2 = {
        G + "attn.c_attn.weight": (8, 24),
        G + "attn.c_proj.weight": (8, 8),
        G + "mlp.c_fc.weight": (8, 32),
        G + "mlp.c_proj.weight": (32, 8),
    }
    assert parts(gpt2) == block
    experts = {L + "mlp.experts.gate_up_proj": (2, 8, 40), L + "mlp.experts.down_proj": (2, 20, 8)}
    assert parts(experts) == [("up", 8, (40,))] * 2 + [("down", 20, (8,))] * 2
    plain = {"net.0.weight": (30, 12), "net.2.weight": (20, 30), "net.10.weight": (5, 20)}
    plain["head.weight"] = (9, 7)
    assert parts(plain) == [("plain", 12, (30,)), ("plain", 30, (20,)), ("plain", 20, (5,))]
    conv = {"conv1.weight": (6, 3, 5, 5), "conv2.weight": (9, 6, 3, 3)}
    assert parts(conv) == [("plain", 3, (6,)), ("plain", 6, (9,))]


def views_of(tmp_path: Path, shapes: dict[str, tuple[int, ...]], seed: int = 0):
    rng = np.random.default_rng(seed)
    arrays = {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    c = SafetensorsCheckpoint(0.0, (write(tmp_path / "a.safetensors", arrays),))
    network = next(m for m in modules([c], {}) if m.kind == "network")
    return arrays, Views(network, c)


def test_orientation_of_links(tmp_path: Path):
    arrays, views = views_of(tmp_path, NEOX)
    got = list(views.neurons.matrices())
    assert np.array_equal(got[2], arrays[P + "mlp.dense_h_to_4h.weight"].T)
    assert np.array_equal(got[3], arrays[P + "mlp.dense_4h_to_h.weight"].T)
    arrays, views = views_of(tmp_path, {"conv1.weight": (6, 3, 5, 5)})
    kernel = arrays["conv1.weight"]
    assert next(views.neurons.matrices()) == pytest.approx(np.sqrt((kernel**2).sum((2, 3))).T, rel=1e-6)


def test_sampled_networks_follow_the_chain(tmp_path: Path):
    two = {k.replace("3", str(i)): s for i in (0, 1) for k, s in NEOX.items()}
    _, views = views_of(tmp_path, two)
    plan = sampled(views.neurons, 4, sample=2)
    s1, s2 = plan[0]
    s3, s4 = plan[1]
    assert [len(s1), len(s2), len(s3), len(s4)] == [4, 12, 4, 4]
    assert np.array_equal(s2, np.concatenate([s3, s3 + 8, s3 + 16]))  # twins in each third
    assert np.array_equal(plan[2][0], s4)
    assert len(plan[2][1]) == 8
    assert np.array_equal(plan[3][0], plan[2][1])
    assert np.array_equal(plan[4][0], plan[3][1])  # the next block starts where this one ended
    assert sum(len(a) for a, _ in plan[:4]) == 20  # 5 n
    again = sampled(views.neurons, 4, sample=2)
    for mine, theirs in zip(plan, again, strict=True):
        assert all(map(np.array_equal, mine, theirs))
    other = sampled(views.neurons, 4, sample=3)
    assert not np.array_equal(other[2][1], plan[2][1])


def test_sampled_entries_are_those_of_the_whole(tmp_path: Path):
    """Reading only the sampled rows gives the numbers of reading everything; experts in a stack as well."""
    shapes = {k: tuple(8 * n for n in s) for k, s in NEOX.items()}
    shapes[L.replace("3", "4") + "mlp.experts.gate_up_proj"] = (2, 64, 320)
    shapes[L.replace("3", "4") + "mlp.experts.down_proj"] = (2, 160, 64)
    _, views = views_of(tmp_path, shapes)
    fast = views.neurons
    whole = Neurons(tuple(replace(link, take=None) for link in fast.links))
    assert all(link.take is not None for link in fast.links)
    a, b = paper_spectra(fast, 16, 3), paper_spectra(whole, 16, 3)
    assert [s.alpha0 for s in a] == [s.alpha0 for s in b]
    assert np.array_equal(a[0].alpha, b[0].alpha)
