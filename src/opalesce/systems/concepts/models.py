"""Two small learners of the `concepts` system, in torch: an embedding model and a transformer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError, MissingExtra

Weights = dict[str, NDArray[np.float32]]
Kind = Literal["embedding", "transformer"]


@dataclass(frozen=True)
class Learner:
    """What is trained: an embedding model by full-batch Adam, or a transformer by sampled pairs.

    embedding: logit(e, k) = s cos(E_e, K_k) + b, s = exp(`log_scale`), of width `width`; the loss weighs
    seen and unseen pairs alike. transformer: one attention layer with two heads and one MLP on the tokens
    (e, k, read), width `width`; `batch` seen pairs and as many random pairs a step.
    """

    kind: Kind = "embedding"
    width: int = 8
    steps: int = 300
    rate: float = 0.03
    batch: int = 512
    decay: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("embedding", "transformer"):
            raise InputError("no such learner", expected="embedding or transformer", got=repr(self.kind))
        if self.width < 2 or self.steps < 0 or self.batch < 1 or not self.rate > 0:
            raise InputError("cannot train so", expected="width >= 2, steps >= 0, rate > 0", got=str(self))


# Decay makes memory cost: this learner comes close to the connectivity bound.
DECAY = Learner(width=32, decay=1.0)
TRANSFORMER = Learner("transformer", width=16, steps=800, rate=0.01)


def torch_module() -> Any:
    """The torch package.

    Raises
    ------
    MissingExtra
        Without torch.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    return torch


def fit(
    seen: NDArray[np.bool_ | np.floating], learner: Learner, seed: int, start: Weights | None = None
) -> tuple[Weights, NDArray[np.float32], float]:
    """Train on the seen pairs; weights, scores of all pairs and the last loss in nats.

    Every pair that was not seen counts as unseen, whether it is valid or not: the learner is told
    nothing about families.

    Parameters
    ----------
    seen : array (entities, properties)
        True where a pair was seen; or, for an embedding model, a probability between 0 and 1.
    learner : Learner
    seed : int
        Of the initial weights and of the sampling.
    start : dict, optional
        Weights to begin from instead, as `fit` returned them (embedding model only).

    Raises
    ------
    InputError
        No pair was seen; soft targets or a start for a transformer; values outside [0, 1].
    MissingExtra
        Without torch.
    """
    torch = torch_module()
    if not seen.any():
        raise InputError("nothing to learn from", expected="at least one seen pair", got="none")
    if not (np.min(seen) >= 0 and np.max(seen) <= 1):
        raise InputError("targets are probabilities", expected="0 to 1", got="values outside")
    if learner.kind == "transformer" and (start is not None or seen.dtype != bool):
        raise InputError("a transformer is trained from scratch on seen pairs", got="soft targets or a start")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums, and so the bits, depends on it
    try:
        if learner.kind == "embedding":
            return _embedding(torch, seen, learner, seed, start)
        return _transformer(torch, seen, learner, seed)
    finally:
        torch.set_num_threads(threads)


def _start(shapes: dict[str, tuple[int, ...]], scale: float, seed: int) -> Weights:
    """Normal initial weights: the same for every data set of one seed."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 7))))
    return {n: (scale * rng.standard_normal(s)).astype(np.float32) for n, s in shapes.items()}


def _embedding(
    torch: Any, seen: NDArray[Any], c: Learner, seed: int, begin: Weights | None
) -> tuple[Weights, NDArray[np.float32], float]:
    n, k = seen.shape
    start = _start({"entity.weight": (n, c.width), "property.weight": (k, c.width)}, 1.0, seed)
    start |= {"log_scale": np.log(np.float32(8.0)).reshape(1), "bias": np.float32(-3.0).reshape(1)}
    w = {name: torch.tensor(v, requires_grad=True) for name, v in (begin or start).items()}
    loss_of = _balanced(torch, seen)
    step = torch.optim.AdamW(list(w.values()), lr=c.rate, weight_decay=c.decay)
    unit = torch.nn.functional.normalize

    def cosine() -> Any:
        return unit(w["entity.weight"], dim=1) @ unit(w["property.weight"], dim=1).T

    loss = torch.zeros(())
    for _ in range(c.steps):
        loss = loss_of(w["log_scale"].exp() * cosine() + w["bias"])
        step.zero_grad()
        loss.backward()
        step.step()
    with torch.no_grad():
        scores = cosine().numpy()
    return {name: v.detach().numpy() for name, v in w.items()}, scores, loss.item()


def _balanced(torch: Any, seen: NDArray[Any]) -> Callable[[Any], Any]:
    """Cross-entropy of logits in which seen and unseen pairs weigh alike.

    For seen pairs that are few the sum over the unseen is that over all less that over the seen, which
    costs half as much as two weighted sums.
    """
    softplus = torch.nn.functional.softplus
    if seen.dtype == bool:
        i, j = torch.from_numpy(np.stack(np.nonzero(seen)))
        unseen = max(seen.size - len(i), 1)

        def sparse(z: Any) -> Any:
            at = z[i, j]
            return softplus(-at).mean() + (softplus(z).sum() - softplus(at).sum()) / unseen

        return sparse
    y = torch.tensor(seen, dtype=torch.float32)
    positive, negative = y / y.sum(), (1 - y) / (1 - y).sum().clamp(min=1)

    def dense(z: Any) -> Any:
        return (softplus(-z) * positive).sum() + (softplus(z) * negative).sum()

    return dense


def _shapes(n: int, k: int, d: int) -> dict[str, tuple[int, ...]]:
    return {
        "embed.weight": (n + k + 1, d),
        "position.weight": (3, d),
        "attention.qkv.weight": (3 * d, d),
        "attention.out.weight": (d, d),
        "mlp.in.weight": (4 * d, d),
        "mlp.out.weight": (d, 4 * d),
        "read.weight": (1, d),
    }


def _logits(torch: Any, w: dict[str, Any], e: Any, k: Any, n: int) -> Any:
    """Logit of pairs (e, k), from the last of three tokens after one pre-norm block."""
    d = w["embed.weight"].shape[1]
    last = torch.full_like(e, w["embed.weight"].shape[0] - 1)
    x = w["embed.weight"][torch.stack([e, k + n, last], dim=1)] + w["position.weight"]
    norm = torch.nn.functional.layer_norm
    q, kk, v = (norm(x, (d,)) @ w["attention.qkv.weight"].T).chunk(3, dim=-1)
    heads = 2

    def split(t: Any) -> Any:
        return t.reshape(len(e), -1, heads, d // heads).transpose(1, 2)

    mixed = torch.nn.functional.scaled_dot_product_attention(split(q[:, 2:]), split(kk), split(v))
    h = x[:, 2] + mixed.transpose(1, 2).reshape(len(e), d) @ w["attention.out.weight"].T
    h = h + torch.relu(norm(h, (d,)) @ w["mlp.in.weight"].T) @ w["mlp.out.weight"].T
    return (norm(h, (d,)) @ w["read.weight"].T)[:, 0]


def _transformer(
    torch: Any, seen: NDArray[Any], c: Learner, seed: int
) -> tuple[Weights, NDArray[np.float32], float]:
    n, k = seen.shape
    shapes = _shapes(n, k, c.width)
    start = {
        s: v
        for name in shapes
        for s, v in _start({name: shapes[name]}, shapes[name][-1] ** -0.5, seed).items()
    }
    w = {name: torch.tensor(v, requires_grad=True) for name, v in start.items()}
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, 8))))
    e1, k1 = np.nonzero(seen)
    target = torch.cat([torch.ones(c.batch), torch.zeros(c.batch)])
    step = torch.optim.AdamW(list(w.values()), lr=c.rate, weight_decay=c.decay)
    loss = torch.zeros(())
    for _ in range(c.steps):
        i = rng.integers(len(e1), size=c.batch)
        e = np.concatenate([e1[i], rng.integers(n, size=c.batch)])
        p = np.concatenate([k1[i], rng.integers(k, size=c.batch)])
        z = _logits(torch, w, torch.from_numpy(e), torch.from_numpy(p), n)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, target)
        step.zero_grad()
        loss.backward()
        step.step()
    with torch.no_grad():
        rows = [_logits(torch, w, torch.full((k,), i), torch.arange(k), n).numpy() for i in range(n)]
    return {name: v.detach().numpy() for name, v in w.items()}, np.stack(rows), loss.item()
