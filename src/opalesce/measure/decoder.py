"""A small decoder that reads and writes LLaMA checkpoints without the transformers library.

RMS norm, rotary positions, grouped-query attention, SwiGLU, residual stream; tensor names and
`config.json` are those of `LlamaForCausalLM`, so any tool that reads those reads what is saved here.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.errors import FormatError, InputError, MissingExtra

try:
    import torch
    from torch import nn

    Base: Any = nn.Module
except ImportError:  # importing this needs no torch, making a decoder does
    Base = object


@dataclass(frozen=True)
class Sizes:
    """Sizes of a decoder, under the keys of a LLaMA `config.json`."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int = 0
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        if not self.num_key_value_heads:
            object.__setattr__(self, "num_key_value_heads", self.num_attention_heads)
        whole = {k: v for k, v in asdict(self).items() if k.endswith(("size", "layers", "heads"))}
        wrong = {k: v for k, v in whole.items() if not isinstance(v, int) or v < 1}
        if wrong or self.hidden_size % (2 * self.num_attention_heads):
            raise InputError(
                "these sizes make no decoder",
                expected="positive whole numbers, hidden_size a multiple of twice the heads",
                got=str(wrong or whole),
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise InputError(
                "key heads do not divide the heads",
                expected="num_attention_heads a multiple of num_key_value_heads",
                got=f"{self.num_attention_heads}, {self.num_key_value_heads}",
            )


class Norm(Base):  # type: ignore[misc]
    """x / rms(x) * weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Any) -> Any:
        """Same shape as `x`."""
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def _turn(x: Any, theta: float) -> Any:
    """Rotary positions on (n, heads, t, dh): pairs are (i, i + dh/2), as LLaMA stores them."""
    t, dh = x.shape[-2:]
    rate = theta ** (-torch.arange(0, dh, 2, device=x.device, dtype=torch.float32) / dh)
    angle = torch.arange(t, device=x.device, dtype=torch.float32)[:, None] * rate
    cos, sin = (torch.cat([f(angle)] * 2, dim=-1).to(x.dtype) for f in (torch.cos, torch.sin))
    half = torch.cat([-x[..., dh // 2 :], x[..., : dh // 2]], dim=-1)
    return x * cos + half * sin


class Attention(Base):  # type: ignore[misc]
    """Causal self-attention with rotary positions."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        d, dh = s.hidden_size, s.hidden_size // s.num_attention_heads
        self.heads, self.groups, self.theta = s.num_attention_heads, s.num_key_value_heads, s.rope_theta
        self.q_proj = nn.Linear(d, self.heads * dh, bias=False)
        self.k_proj = nn.Linear(d, self.groups * dh, bias=False)
        self.v_proj = nn.Linear(d, self.groups * dh, bias=False)
        self.o_proj = nn.Linear(self.heads * dh, d, bias=False)

    def split(self, x: Any) -> tuple[Any, Any, Any]:
        """Queries, keys (turned) and values, each (n, heads, t, dh)."""
        n, t, _ = x.shape
        q = self.q_proj(x).view(n, t, self.heads, -1).transpose(1, 2)
        k, v = (p(x).view(n, t, self.groups, -1).transpose(1, 2) for p in (self.k_proj, self.v_proj))
        k, v = (y.repeat_interleave(self.heads // self.groups, dim=1) for y in (_turn(k, self.theta), v))
        return _turn(q, self.theta), k, v

    def scores(self, x: Any) -> Any:
        """Scaled logits q k / sqrt(dh), -inf for the future: (n, heads, t, t)."""
        q, k, _ = self.split(x)
        t = x.shape[1]
        future = torch.full((t, t), float("-inf"), device=x.device).triu(1)
        return q @ k.transpose(2, 3) * q.shape[-1] ** -0.5 + future

    def forward(self, x: Any) -> Any:
        """Same shape as `x`, (n, t, d)."""
        q, k, v = self.split(x)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1))


class Mlp(Base):  # type: ignore[misc]
    """SwiGLU."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.up_proj = nn.Linear(s.hidden_size, s.intermediate_size, bias=False)
        self.down_proj = nn.Linear(s.intermediate_size, s.hidden_size, bias=False)

    def forward(self, x: Any) -> Any:
        """Same shape as `x`."""
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(Base):  # type: ignore[misc]
    """One layer: the residual stream plus attention, plus MLP, both after a norm."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.input_layernorm = Norm(s.hidden_size, s.rms_norm_eps)
        self.self_attn = Attention(s)
        self.post_attention_layernorm = Norm(s.hidden_size, s.rms_norm_eps)
        self.mlp = Mlp(s)

    def forward(self, x: Any) -> Any:
        """Residual stream (n, t, d) after this layer."""
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(Base):  # type: ignore[misc]
    """Embedding, blocks and final norm, under the names of LLaMA."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocab_size, s.hidden_size)
        self.layers = nn.ModuleList(Block(s) for _ in range(s.num_hidden_layers))
        self.norm = Norm(s.hidden_size, s.rms_norm_eps)


class Decoder(Base):  # type: ignore[misc]
    """Causal language model; `forward` takes token ids (n, t) and returns logits (n, t, vocabulary).

    Weights start normal with standard deviation 0.02, output projections with 0.02 / sqrt(2 layers).
    """

    def __init__(self, sizes: Sizes, seed: int = 0) -> None:
        if Base is object:
            raise MissingExtra("torch", "torch")
        super().__init__()
        self.sizes = sizes
        self.model = Trunk(sizes)
        self.lm_head = nn.Linear(sizes.hidden_size, sizes.vocab_size, bias=False)
        generator = torch.Generator().manual_seed(seed)
        small = 0.02 * (2 * sizes.num_hidden_layers) ** -0.5
        with torch.no_grad():
            for name, p in self.named_parameters():
                if p.ndim == 2:
                    out = name.endswith(("o_proj.weight", "down_proj.weight"))
                    p.normal_(0.0, small if out else 0.02, generator=generator)
        if sizes.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens: Any) -> Any:
        """Logits (n, t, vocabulary)."""
        x = self.model.embed_tokens(tokens)
        for block in self.model.layers:
            x = block(x)
        return self.lm_head(self.model.norm(x))

    def attention_scores(self, tokens: Any) -> list[Any]:
        """Scaled attention logits of every layer, each (n, heads, t, t); the future is -inf."""
        x, out = self.model.embed_tokens(tokens), []
        for block in self.model.layers:
            out.append(block.self_attn.scores(block.input_layernorm(x)))
            x = block(x)
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights as float32 arrays under their names; a tied head is left out."""
        tied = self.sizes.tie_word_embeddings
        return {
            k: v.detach().cpu().float().numpy()
            for k, v in self.state_dict().items()
            if not (tied and k == "lm_head.weight")
        }

    def config(self) -> dict[str, Any]:
        """What goes into `config.json`."""
        return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **asdict(self.sizes)}

    def save(self, folder: Path, name: str = "model.safetensors") -> Path:
        """Write weights and `config.json`; returns the weights' path."""
        from opalesce.runs.safetensors import write

        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        write(path, self.arrays())
        (folder / "config.json").write_text(json.dumps(self.config(), indent=1) + "\n")
        return path


KEYS = tuple(Sizes.__dataclass_fields__)


def sizes_of(config: dict[str, Any]) -> Sizes:
    """Sizes from a LLaMA `config.json`.

    Raises
    ------
    FormatError
        A key is missing, or the file asks for what this decoder does not do (biases, scaled rotary
        positions, another activation, heads of their own width).
    """
    missing = [k for k in KEYS[:5] if type(config.get(k)) is not int]
    rope = config.get("rope_parameters")
    rope = rope if isinstance(rope, dict) else {}
    scaled = config.get("rope_scaling") or rope.get("rope_type", "default") not in ("default", None)
    width = config.get("head_dim")
    odd = {
        "rope_scaling": scaled,
        "attention_bias": config.get("attention_bias"),
        "mlp_bias": config.get("mlp_bias"),
        "hidden_act": config.get("hidden_act", "silu") != "silu",
        "head_dim": bool(width)
        and not missing
        and (type(width) is not int or width * config["num_attention_heads"] != config["hidden_size"]),
    }
    if missing or any(odd.values()):
        raise FormatError(
            "this config.json is not that of a plain LLaMA decoder",
            expected=f"keys {', '.join(KEYS[:5])}; no bias, silu, plain rotary positions",
            got=f"missing {missing}" if missing else f"{[k for k, v in odd.items() if v]}",
            fix="pip install 'opalesce[hf]' to load it with transformers",
        )
    known = {k: config[k] for k in KEYS if config.get(k) is not None}
    if "rope_theta" in rope:
        known["rope_theta"] = rope["rope_theta"]
    odd_types = [k for k in ("rms_norm_eps", "rope_theta") if not _positive(known.get(k, 1))]
    if odd_types or type(known.get("num_key_value_heads", 1)) is not int:
        what = "this config.json holds no numbers where they belong"
        raise FormatError(what, got=", ".join(odd_types) or "num_key_value_heads")
    return Sizes(**known)


def _positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]


def load(folder: Path, step: float | None = None) -> Decoder:
    """A decoder from a folder of safetensors with a LLaMA `config.json`.

    `step` picks one checkpoint of a run; by default the last.

    Raises
    ------
    FormatError, InputError
        No such config, tensors missing or of the wrong shape, non-finite weights.
    """
    from opalesce.runs.open import open as open_run

    run = open_run(folder)
    if not run.checkpoints:
        raise InputError("no weights here", expected="a .safetensors file", got=str(folder))
    checkpoint = run.checkpoints[-1] if step is None else run.checkpoint(step)
    return from_checkpoint(checkpoint, dict(run.config))


def from_checkpoint(checkpoint: Any, config: dict[str, Any]) -> Decoder:
    """A decoder with the weights of one checkpoint.

    Raises
    ------
    FormatError
        From `sizes_of`; tensors missing or of the wrong shape; non-finite weights.
    """
    sizes, have = sizes_of(config), checkpoint.tensors()
    held = sum(math.prod(t.shape) for t in have.values())
    widest = max(sizes.vocab_size, sizes.intermediate_size, sizes.hidden_size)
    if sizes.num_hidden_layers > len(have) or sizes.hidden_size * widest > held:
        raise FormatError(  # before a model of that size is made
            f"{checkpoint.paths[0]}: the config describes a larger model than these weights",
            expected=f"at most {len(have)} layers and {held} parameters",
            got=f"{sizes.num_hidden_layers} layers of {sizes.hidden_size} by {widest}"[:120],
        )
    net = Decoder(sizes)
    state = net.state_dict()
    tied = net.sizes.tie_word_embeddings
    for name, into in state.items():
        source = "model.embed_tokens.weight" if tied and name == "lm_head.weight" else name
        if source not in have or tuple(have[source].shape) != tuple(into.shape):
            raise FormatError(
                f"{checkpoint.paths[0]}: tensor {source!r} does not fit the config",
                expected=f"shape {tuple(into.shape)}",
                got=str(have[source].shape) if source in have else "no such tensor",
            )
        values = checkpoint.read(source)
        if not np.isfinite(values).all():
            raise FormatError(
                f"{checkpoint.paths[0]}: tensor {source!r} holds NaN or infinite entries",
                expected="finite numbers",
                fix="opalesce check RUN --full",
            )
        into.copy_(torch.from_numpy(np.ascontiguousarray(values)))
    net.eval()
    return net
