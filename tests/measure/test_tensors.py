"""Tensors of real architectures: roles, parts, tied and packed weights, and the coverage line.

The models are tiny and random, made by transformers from configurations and saved by it.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tr
from safetensors.torch import save_file

import opalesce
from opalesce.cli import main
from opalesce.measure.chain import chain
from opalesce.measure.coverage import coverage, percent
from opalesce.measure.packed import packed
from opalesce.measure.plan import modules
from opalesce.measure.roles import role_of
from opalesce.runs.run import TensorInfo
from opalesce.runs.safetensors import SafetensorsCheckpoint, write
from opalesce.runs.writing import Part, write_parts

tr.logging.set_verbosity_error()
tr.utils.logging.disable_progress_bar()
SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 60,
}
TEXT = SIZE | {"max_position_embeddings": 32}
FEW = TEXT | {"num_key_value_heads": 2}
MOE = FEW | {"num_experts": 3, "moe_intermediate_size": 24, "num_experts_per_tok": 2}
LATENT = {
    "n_routed_experts": 4,
    "moe_intermediate_size": 24,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_group": 1,
    "topk_group": 1,
}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 60}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 60, "n_positions": 32}
OPT = {"ffn_dim": 48, "word_embed_proj_dim": 32}

QKV, ATTENTION, GATED, PLAIN = {"qkv"}, {"q", "k", "v"}, {"gate", "up", "down"}, {"up", "down"}
# name: (model, configuration, parts of one block, links of the chain, matrices outside of blocks)
FAMILIES = {
    "gpt2": (tr.GPT2LMHeadModel, tr.GPT2Config(**GPT2), QKV | {"out"} | PLAIN, 8, {"embed", "position"}),
    "neox": (tr.GPTNeoXForCausalLM, tr.GPTNeoXConfig(**TEXT), QKV | {"out"} | PLAIN, 8, {"embed", "unembed"}),
    "llama": (
        tr.LlamaForCausalLM,
        tr.LlamaConfig(**FEW),
        ATTENTION | {"out"} | GATED,
        8,
        {"embed", "unembed"},
    ),
    "mistral": (
        tr.MistralForCausalLM,
        tr.MistralConfig(**FEW),
        ATTENTION | {"out"} | GATED,
        8,
        {"embed", "unembed"},
    ),
    "qwen": (
        tr.Qwen2ForCausalLM,
        tr.Qwen2Config(**FEW, tie_word_embeddings=True),
        ATTENTION | {"out"} | GATED,
        8,
        {"embed"},
    ),
    "phi": (
        tr.Phi3ForCausalLM,
        tr.Phi3Config(**FEW, pad_token_id=0),
        QKV | {"out", "gate_up", "down"},
        8,
        {"embed", "unembed"},
    ),
    "opt": (
        tr.OPTForCausalLM,
        tr.OPTConfig(**TEXT, **OPT),
        ATTENTION | {"out"} | PLAIN,
        8,
        {"embed", "position"},
    ),
    "bert": (
        tr.BertForMaskedLM,
        tr.BertConfig(**TEXT),
        ATTENTION | {"out"} | PLAIN,
        8,
        {"embed", "position", "other"},
    ),
    "vit": (
        tr.ViTForImageClassification,
        tr.ViTConfig(**SIZE, image_size=16, patch_size=8),
        ATTENTION | {"out"} | PLAIN,
        8,
        {"position", "other"},
    ),
    "t5": (
        tr.T5ForConditionalGeneration,
        tr.T5Config(**T5, feed_forward_proj="gated-gelu"),
        ATTENTION | {"out"} | GATED,
        16,
        {"embed"},
    ),
    "mixtral": (
        tr.MixtralForCausalLM,
        tr.MixtralConfig(**FEW, num_local_experts=3),
        ATTENTION | {"out", "router"} | GATED,
        16,
        {"embed", "unembed"},
    ),
    "qwen-moe": (
        tr.Qwen2MoeForCausalLM,
        tr.Qwen2MoeConfig(**MOE, shared_expert_intermediate_size=40),
        ATTENTION | {"out", "router"} | GATED,
        20,
        {"embed", "unembed"},
    ),
    "deepseek": (
        tr.DeepseekV3ForCausalLM,
        tr.DeepseekV3Config(**TEXT, num_key_value_heads=4, **LATENT),
        {"q_a", "q_b", "kv_a", "kv_b", "out", "router"} | GATED,
        12,
        {"embed", "unembed"},
    ),
}


@pytest.mark.torch
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family: str, tmp_path: Path) -> None:
    make, config, inside, links, outside = FAMILIES[family]
    torch.manual_seed(0)
    model = make(config)
    model.save_pretrained(tmp_path / "step0")
    run = opalesce.open(tmp_path)
    (c,) = run.checkpoints
    tensors = c.tensors()
    matrices = {n: t for n, t in tensors.items() if sum(side > 1 for side in t.shape) >= 2}
    roles = {n: role_of(n) for n in matrices}
    assert {
        r.part for n, r in roles.items() if r.block == 1 and (family != "t5" or r.stack == "encoder")
    } == inside
    assert {r.part for r in roles.values() if r.block is None} == outside
    found = chain(tensors, run.config)
    assert len(found) == links
    fused = 2 if "gate_up" in inside else 1
    hidden = sorted(k.sizes[0] // fused for k in found if k.part == "up")
    assert hidden == sorted(k.sources for k in found if k.part == "down")  # what comes in is what went out
    parts = [m for m in modules(run.checkpoints, run.config) if m.kind == "tensor"]
    assert {t for m in parts for t in m.tensors} >= set(matrices)
    told = coverage(c, run.config, {t for m in parts for t in m.tensors})
    buffers = sum(t.numel() for n, t in model.named_buffers() if n in tensors)
    assert told.total == model.num_parameters() + buffers
    assert set(told.left) <= {"vectors (biases, norms)"}
    assert told.share > 0.9


@pytest.mark.torch
@pytest.mark.parametrize("family", ["gpt2", "neox", "phi"])
def test_fused_projections_are_cut_as_the_model_does(family: str, tmp_path: Path) -> None:
    make, config, *_ = FAMILIES[family]
    torch.manual_seed(0)
    make(config).save_pretrained(tmp_path / "step0")
    run = opalesce.open(tmp_path)
    (c,) = run.checkpoints
    cut = {
        m.name.rpartition("#")[2]: m
        for m in modules(run.checkpoints, run.config)
        if m.cut and ".0." in m.name
    }
    assert set(cut) == {"q", "k", "v"}
    w = c.read(cut["q"].tensors[0])
    got = {p: m.cut.of(w) for p, m in cut.items()}
    if family == "gpt2":
        want = dict(zip("qkv", np.split(w, 3, axis=1), strict=True))
    elif family == "neox":  # heads, then Q, K and V of a head
        heads = w.reshape(4, 3, 8, 32)
        want = {p: heads[:, i].reshape(32, 32) for i, p in enumerate("qkv")}
    else:
        want = {"q": w[:32], "k": w[32:48], "v": w[48:]}
    assert all(np.array_equal(got[p], want[p]) for p in "qkv")


@pytest.mark.torch
def test_stacked_experts_in_memory_are_split(tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, config, *_ = FAMILIES["mixtral"]
    model = make(config)
    run = opalesce.open(model)
    stacks = [n for n, t in run.checkpoints[0].tensors().items() if len(t.shape) == 3 and "experts" in n]
    assert stacks  # this version of transformers stacks experts in memory
    parts = {m.name for m in modules(run.checkpoints, run.config)}
    assert {f"{n}#expert{i}" for n in stacks for i in range(3)} <= parts
    links = [k for k in chain(run.checkpoints[0].tensors(), run.config) if k.slab is not None]
    assert {(k.part, k.sources) for k in links} == {("up", 32), ("down", 48)}
    assert not any(k.inputs_first for k in links)  # (experts, out, in)


@pytest.mark.torch
def test_a_module_brings_its_configuration() -> None:
    make, config, *_ = FAMILIES["neox"]
    run = opalesce.open(make(config))
    assert run.config["model_type"] == "gpt_neox"
    assert {m.name.rpartition("#")[2] for m in modules(run.checkpoints, run.config) if m.cut} == {
        "q",
        "k",
        "v",
    }


def test_tied_weights_count_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    state = {
        n: rng.normal(size=(50, 20)).astype(np.float32)
        for n in ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight")
    }
    one = state["model.embed_tokens.weight"]
    for head, said, count in ((one, None, 2), (one + 1, None, 3), (one + 1, True, 2)):
        path = write(tmp_path / "step0.safetensors", state | {"lm_head.weight": head})
        c = SafetensorsCheckpoint(0, (path,))
        config = {} if said is None else {"tie_word_embeddings": said}
        parts = [m.name for m in modules([c], config) if m.kind == "tensor"]
        assert len(parts) == count
        assert "model.embed_tokens.weight" in parts
        assert coverage(c, config, set(parts)).total == 1000 * count
        assert coverage(c, config, set(parts)).share == 1


def quantised(folder: Path, kind: str) -> SafetensorsCheckpoint:
    """The layout of each library, with noise for codes; 64 x 128 weights a layer."""
    layouts: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {
        "gptq": {
            "qweight": ("I32", (8, 128)),
            "qzeros": ("I32", (2, 16)),
            "scales": ("F16", (2, 128)),
            "g_idx": ("I32", (64,)),
        },
        "awq": {"qweight": ("I32", (64, 16)), "qzeros": ("I32", (2, 16)), "scales": ("F16", (2, 128))},
        "bitsandbytes": {
            "weight": ("U8", (4096, 1)),
            "weight.absmax": ("U8", (128,)),
            "weight.quant_map": ("F32", (16,)),
            "weight.nested_absmax": ("F32", (1,)),
            "weight.quant_state.bitsandbytes__nf4": ("U8", (90,)),
        },
        "mxfp4": {"blocks_blocks": ("U8", (2, 32, 4, 16)), "blocks_scales": ("U8", (2, 32, 4))},
        "int8": {"weight": ("I8", (128, 64)), "SCB": ("F32", (128,))},
        "compressed": {
            "weight_packed": ("I32", (128, 8)),
            "weight_scale": ("BF16", (128, 2)),
            "weight_shape": ("I64", (2,)),
        },
    }
    width = {"I32": 4, "F16": 2, "BF16": 2, "U8": 1, "I8": 1, "F32": 4, "I64": 8}
    rng, parts = np.random.default_rng(0), []
    entries = {f"model.layers.0.mlp.up_proj.{k}": v for k, v in layouts[kind].items()}
    entries |= {
        "model.layers.0.self_attn.o_proj.weight": ("F32", (64, 64)),
        "model.norm.weight": ("F32", (64,)),
    }
    for name, (dtype, shape) in sorted(entries.items(), key=lambda e: -width[e[1][0]]):
        n = math.prod(shape) * width[dtype]
        data = rng.normal(size=shape).astype("f4").tobytes() if dtype == "F32" else rng.bytes(n)
        parts.append(Part(name, dtype, shape, n, lambda data=data: data))
    return SafetensorsCheckpoint(0, (write_parts(folder / "step0.safetensors", parts),))


@pytest.mark.parametrize("kind", ["gptq", "awq", "bitsandbytes", "int8", "compressed", "mxfp4"])
def test_packed_weights_are_refused_with_a_reason(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    c = quantised(tmp_path, kind)
    codes = packed(c.tensors(), {})
    assert len(codes) == len(c.tensors()) - 2
    assert sum(p.parameters for p in codes.values()) == 64 * 128
    told = coverage(c, {}, {"model.layers.0.self_attn.o_proj.weight"})
    assert told.total == 64 * 128 + 64 * 64 + 64
    assert told.analysed == 64 * 64
    ds = opalesce.measure(tmp_path, observables=["stable_rank"])
    assert set(ds["module"].values[ds["kind"].values == "tensor"]) == {
        "model.layers.0.self_attn.o_proj.weight", *(n for n, p in codes.items() if p.parameters)
    }  # fmt: skip
    (main_,) = (n for n, p in codes.items() if p.parameters)
    assert "have no spectrum" in str(ds["stable_rank_status"].sel(module=main_).item())
    assert np.isnan(ds["stable_rank"].sel(module=main_).item())
    assert np.isfinite(ds["stable_rank"].sel(module="model.layers.0.self_attn.o_proj.weight").item())
    assert (
        main(["measure", str(tmp_path), "--observables", "stable_rank", "--out", str(tmp_path / "out")]) == 0
    )
    said = capsys.readouterr().out
    assert "33.2 % of 12,352 parameters analysed; left out: packed integers (quantised) 66.3 %" in said
    assert ds.attrs["coverage"] in said


@pytest.mark.torch
@pytest.mark.parametrize("scaled", [True, False])
def test_eight_bit_floats_are_measured_with_their_scales_only(tmp_path: Path, scaled: bool) -> None:
    w = torch.randn(130, 140, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([[0.5, 2.0], [4.0, 1.0]])
    state = {"x.weight": w.to(torch.float8_e4m3fn), "norm.weight": torch.ones(4)}
    save_file(state | ({"x.weight_scale_inv": scale} if scaled else {}), tmp_path / "step0.safetensors")
    ds = opalesce.measure(tmp_path, observables=["stable_rank"])
    assert list(ds["module"].values[ds["kind"].values == "tensor"]) == ["x.weight"]
    got = ds["stable_rank"].sel(module="x.weight").item()
    if not scaled:
        assert np.isnan(got)
        assert "values mean nothing" in ds["stable_rank_status"].sel(module="x.weight").item()
        assert "eight-bit floats without scales 99.9 %" in ds.attrs["coverage"]
        return
    blocks = scale.repeat_interleave(128, 0)[:130].repeat_interleave(128, 1)[:, :140]
    s = np.linalg.svd((state["x.weight"].float() * blocks).numpy(), compute_uv=False)
    assert got == pytest.approx((s**2).sum() / s[0] ** 2, rel=1e-5)
    assert "of 18,204 parameters analysed" in ds.attrs["coverage"]


def test_percent_is_never_rounded_to_all_or_nothing() -> None:
    assert [percent(p) for p in (0, 1e-9, 0.5, 0.99999, 1)] == [
        "0.0 %",
        "< 0.1 %",
        "50.0 %",
        "99.9 %",
        "100.0 %",
    ]


def test_position_embeddings_and_kernels_are_matrices(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    state = {
        "pos_embed": rng.normal(size=(1, 9, 16)),
        "cls": rng.normal(size=(1, 1, 16)),
        "conv.weight": rng.normal(size=(8, 3, 4, 4)),
    }
    write(tmp_path / "step0.safetensors", state)
    ds = opalesce.measure(tmp_path, observables=["stable_rank"])
    for name, shape in (("pos_embed", (9, 16)), ("conv.weight", (8, 48))):
        s = np.linalg.svd(state[name].reshape(shape), compute_uv=False)
        assert ds["stable_rank"].sel(module=name).item() == pytest.approx((s**2).sum() / s[0] ** 2, rel=1e-6)
    assert "cls" not in ds["module"].values


def test_names_nobody_knows_have_no_role() -> None:
    info = {n: TensorInfo(n, "F32", (4, 4), 64, Path("x")) for n in ("alpha.beta", "blob", "net.0.3.w")}
    assert {role_of(n).part for n in info} == {"other"}
