r"""What one layer does to small changes: products with its Jacobian, never the matrix.

The map from layer to layer read as a step of coarse graining is a reconstruction (after Alpay and Kilictas
2026, abstract): directions it stretches are relevant, those it shrinks irrelevant. The linear algebra is not:
power iteration and the QR method for Lyapunov exponents (Benettin et al. 1980).

A map takes and returns a tensor of one shape, any shape; vectors are flattened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError, MissingExtra

Array = NDArray[np.float64]
Map = Callable[[Any], Any]
FIX = "load the model in float64 or float32, and look at its weights: opalesce check RUN --full"


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    return torch


def jvp(f: Map, x: Any, v: Any) -> tuple[Any, Any]:
    """f(x), and J(x) v: forward mode, with attention written out (its fused kernels have none)."""
    import warnings

    torch = _torch()
    with warnings.catch_warnings(), _written_out():
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        try:
            y, u = torch.func.jvp(f, (x,), (v,))
        except NotImplementedError:  # some other operation without forward mode: twice backward
            y, u = torch.autograd.functional.jvp(f, x, v)
        return y.detach(), u.detach()


def _written_out() -> Any:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH)


def vjp(f: Map, x: Any, u: Any) -> Any:
    """J(x)^T u."""
    torch = _torch()
    with torch.enable_grad():
        at = x.detach().requires_grad_(True)
        return torch.autograd.grad(f(at), at, u)[0]


def outside(vectors: Any) -> Map:
    """Projector Q = I - P P^T on what `vectors`, (d, k) orthonormal, leave out; acts on the last axis."""
    return lambda x: x - (x @ vectors) @ vectors.transpose(-1, -2)


def leading(eigen: Array, k: int) -> Any:
    """First k columns of eigenvectors sorted by falling eigenvalue, as a tensor.

    Raises
    ------
    InputError
        k outside 0..d.
    """
    if not 0 <= k <= eigen.shape[1]:
        raise InputError("no such subspace", expected=f"0 <= k <= {eigen.shape[1]}", got=str(k))
    return _torch().from_numpy(np.ascontiguousarray(eigen[:, :k]))


def contraction(
    f: Map,
    x: Any,
    before: Map | None = None,
    after: Map | None = None,
    steps: int = 100,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> float:
    r"""Largest stretch of a layer outside its leading directions.

    .. math:: \kappa_l = \| Q_{l+1} J_l Q_l \|_2

    By power iteration on :math:`A^T A`. kappa < 1 with a small coupling makes the tail of the covariance
    decay as :math:`\kappa^{2l}` (a reconstruction of "transverse contraction"). Power iteration approaches
    from below: a close second singular value slows it.

    Parameters
    ----------
    f : map
    x : tensor
        Where the Jacobian is taken.
    before, after : map, optional
        Orthogonal projectors Q_l and Q_{l+1} (see `outside`); the identity by default.
    steps : int
        At most.
    tolerance : float
        Relative change at which to stop.

    Raises
    ------
    InputError
        The map changes the shape, or gives NaN.
    """
    torch = _torch()
    q0, q1 = before or (lambda v: v), after or (lambda v: v)
    generator = torch.Generator().manual_seed(seed)
    v = q0(torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x))
    value = 0.0
    for _ in range(steps):
        norm = float(v.norm())
        if norm == 0.0:
            return 0.0
        y, u = jvp(f, x, v / norm)
        if y.shape != x.shape:
            raise InputError(
                "the map changes the shape", expected=str(tuple(x.shape)), got=str(tuple(y.shape))
            )
        u = q1(u)
        new = float(u.norm())
        if not np.isfinite(new):
            raise InputError("the map gives NaN", expected="finite numbers", fix=FIX)
        if abs(new - value) <= tolerance * new:
            return new
        value, v = new, q0(vjp(f, x, q1(u)))
    return value


def lyapunov(maps: Sequence[Map], x: Any, k: int, seed: int = 0) -> Array:
    r"""The k largest Lyapunov exponents of depth, per layer.

    .. math:: \lambda_i = \frac{1}{L} \sum_l \ln |R^{(l)}_{ii}|, \quad J_l Q^{(l)} = Q^{(l+1)} R^{(l)}

    Their partial sums are the growth rates of volumes of a random k-frame; for L layers they approach
    :math:`\frac1L \ln s_i` of the product of Jacobians (Benettin et al. 1980) with an error of the order 1/L.

    Parameters
    ----------
    maps : sequence of maps
        One a layer, in order; their Jacobians are taken along the orbit of `x`.
    k : int

    Returns
    -------
    array, shape (k,)
        Nats per layer, largest first up to the error.

    Raises
    ------
    InputError
        No layer, k out of range, a map that gives NaN.
    """
    return np.asarray(_frame(maps, x, k, seed).mean(axis=0))


def _frame(maps: Sequence[Map], x: Any, k: int, seed: int) -> Array:
    torch = _torch()
    if not maps or not 1 <= k <= x.numel():
        raise InputError(
            "no such spectrum", expected=f"a layer, 1 <= k <= {x.numel()}", got=f"{len(maps)}, {k}"
        )
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(x.numel(), k, generator=generator, dtype=torch.float64))[0].to(x)
    out = []
    for f in maps:
        columns = []
        for i in range(k):
            y, u = jvp(f, x, frame[:, i].reshape(x.shape))
            columns.append(u.reshape(-1))
        frame, r = torch.linalg.qr(torch.stack(columns, dim=1))
        diagonal = r.diagonal().abs().double().numpy()
        if not np.isfinite(diagonal).all():
            raise InputError("a map gives NaN", expected="finite numbers", fix=FIX)
        out.append(np.log(np.maximum(diagonal, 1e-300)))
        x = y.detach()
    return np.array(out)


def product_singular_values(maps: Sequence[Map], x: Any, k: int, rounds: int = 30, seed: int = 0) -> Array:
    """The k largest singular values of the product of all Jacobians, exactly, by subspace iteration.

    Raises
    ------
    InputError
        As `lyapunov`.
    """
    torch = _torch()
    _frame(maps, x, k, seed)  # the same refusals

    def through(v: Any) -> Any:
        for f in maps:
            v = f(v)
        return v

    generator = torch.Generator().manual_seed(seed)
    extra = min(k + 4, x.numel())
    v = torch.linalg.qr(torch.randn(x.numel(), extra, generator=generator, dtype=torch.float64))[0].to(x)
    for _ in range(rounds):
        u = torch.stack([jvp(through, x, c.reshape(x.shape))[1].reshape(-1) for c in v.T], dim=1)
        u = torch.linalg.qr(u)[0]
        w = torch.stack([vjp(through, x, c.reshape(x.shape)).reshape(-1) for c in u.T], dim=1)
        v, r = torch.linalg.qr(w)
    return np.asarray(torch.linalg.svdvals(r)[:k].double().numpy())


def perturbation_ratio(
    maps: Sequence[Map], x: Any, size: float = 1e-3, pairs: int = 32, seed: int = 0
) -> Array:
    r"""Mean growth of a random small difference, layer by layer.

    .. math:: r_l = \langle \|h'_{l+1} - h_{l+1}\| \rangle / \langle \|h'_l - h_l\| \rangle

    Below 1: differences die out. The same pairs are followed through all layers. For a linear layer J and
    isotropic differences r is about :math:`\|J\|_F/\sqrt d` at the first layer.

    Parameters
    ----------
    size : float
        Length of the first difference, relative to that of x.
    pairs : int

    Returns
    -------
    array, shape (layers,)

    Raises
    ------
    InputError
        x is zero, or a map gives NaN.
    """
    torch = _torch()
    scale = float(x.norm())
    if not (np.isfinite(scale) and scale > 0):
        raise InputError("no state to perturb", expected="a finite state that is not zero", got=f"{scale:g}")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((pairs, *x.shape), generator=generator, dtype=torch.float64).to(x)
    noise = noise / noise.reshape(pairs, -1).norm(dim=1).reshape(-1, *[1] * x.ndim)
    others = x + size * scale * noise
    out, gap = [], float((others - x).reshape(pairs, -1).norm(dim=1).mean())
    with torch.no_grad():
        for f in maps:
            x, others = f(x), torch.stack([f(o) for o in others])
            new = float((others - x).reshape(pairs, -1).norm(dim=1).mean())
            if not np.isfinite(new):
                raise InputError("a map gives NaN", expected="finite numbers", fix=FIX)
            out.append(new / gap if gap > 0 else float("nan"))
            gap = new
    return np.array(out)
