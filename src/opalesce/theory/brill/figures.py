"""The numbers of the paper's figures 1 to 10, from our own simulation, with theory beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import label

from opalesce.errors import InputError
from opalesce.theory.brill import bethe
from opalesce.theory.brill.allocation import allocation_exponent, break_rank, model_limit, model_loss
from opalesce.theory.brill.chinchilla import width_fit
from opalesce.theory.brill.data_law import data_limit, data_loss
from opalesce.theory.brill.exponents import exponent_map
from opalesce.theory.brill.nearest import squared_errors
from opalesce.theory.brill.scale import cluster_loss
from opalesce.theory.brill.simulate import Protocol, draw_clusters, grow, run_seed, stream
from opalesce.theory.brill.summary import compare, theory_curve
from opalesce.theory.checks import Array, numbers, positive, whole

RATIOS = (0.1, 0.5, 1.0, 2.0, 20.0)
Numbers = dict[str, NDArray[Any]]


def lattice(seed: int = 0, side: int = 10, shares: Iterable[float] = (0.1, 0.3116, 0.6)) -> Numbers:
    """Figure 1: cluster numbers (0 empty) of site percolation on a cube, by occupied share; free edges."""
    rng = stream(seed, 5)
    sites = rng.random((whole(side, "side", 2, 400),) * 3)
    return {f"p={positive(p, 'p', 0, 1):g}": label(sites < p)[0] for p in shares}


def model_laws(alpha: float = 1.0, top: float = 1e8) -> Numbers:
    """Figure 2: eq. 7, normalised, and its power-law limits, for several c/D."""
    n = np.geomspace(1, top, 81)
    one = {r: float(model_loss(1.0, alpha, r)) for r in RATIOS}
    loss = np.array([model_loss(n, alpha, r) / one[r] for r in RATIOS])
    limit = np.array([model_limit(n, alpha, r) / one[r] for r in RATIOS])
    return {"dof": n, "ratio": np.array(RATIOS), "loss": loss, "limit": limit}


def data_laws(alpha: float = 1.0, top: float = 1e6) -> Numbers:
    """Figure 3: eqs 10 and 11, normalised, and their power-law limits, for several c/D."""
    n = np.geomspace(1, top, 61)
    one = {r: float(data_loss(1.0, alpha, r)) for r in RATIOS}
    loss = np.array([data_loss(n, alpha, r) / one[r] for r in RATIOS])
    limit = np.array([data_limit(n, alpha, r) / one[r] for r in RATIOS])
    return {"data": n, "ratio": np.array(RATIOS), "loss": loss, "limit": limit}


def map_of_exponents() -> Numbers:
    """Figure 4: (c/D)/alpha and (c/D)/(alpha/(1+alpha)) for c = 2, 4, 6 over the dimension."""
    maps = [exponent_map(c) for c in (2, 4, 6)]
    return {
        "dimension": maps[0].dimension,
        "alpha": maps[0].alpha,
        "c": np.array([2.0, 4.0, 6.0]),
        "model": np.array([m.model for m in maps]),
        "data": np.array([m.data for m in maps]),
    }


def allocation_scan(
    seed: int = 0, dof: float = 500.0, points: int = 200, protocol: Protocol | None = None
) -> Numbers:
    r"""Figures 5 and 9: simulated loss of allocations :math:`n_k = a k^{b-1}`, k < k_br, at random (b, k_br).

    b uniform on [-5.05, 5.05], k_br log-uniform up to the number of clusters; the last point is the
    theory's optimum. Which N stands in the main text and which in the appendix is not known to us.
    """
    protocol = Protocol() if protocol is None else protocol
    rng, dof = stream(seed, 6), positive(dof, "dof")
    sizes = draw_clusters(seed, protocol)
    whole(points, "points", 1, 10**5)
    b = np.append(rng.uniform(-5.05, 5.05, points), allocation_exponent(protocol.alpha, protocol.ratio))
    best = float(break_rank(dof, protocol.alpha, protocol.ratio))
    top = np.append(np.exp(rng.uniform(0, np.log(protocol.clusters), points)), best)
    k = np.arange(1.0, protocol.clusters + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        height = dof * np.where(np.abs(b) < 1e-9, 1 / np.log(top), b / np.expm1(b * np.log(top)))
    share = np.where(k[:, None] < top, height * k[:, None] ** (b - 1), 0.0)
    scale = run_seed(seed, protocol).scale
    validation = np.rint(protocol.validation_share * sizes).astype(int)
    total = np.zeros(b.size)
    for at, size in enumerate(sizes):
        if validation[at]:
            parent, value = grow(seed, at + 1, int(size), protocol)
            p = np.minimum(share[at] * scale[at] / size, protocol.training_share)
            total += squared_errors(parent, value, rng.binomial(size, p), int(validation[at]), rng)
    return {"b": b, "break_rank": top, "loss": total / validation.sum(), "dof": np.array(dof)}


def seeds_against_theory(seeds: Iterable[int] = range(20), protocol: Protocol | None = None) -> Numbers:
    """Figure 6: median and 16-84 % band over seeds beside theory, model and data."""
    protocol = Protocol() if protocol is None else protocol
    runs = [run_seed(s, protocol) for s in seeds]
    out: Numbers = {"dof": protocol.dof}
    for kind in ("model", "data"):
        theory = theory_curve(kind, protocol.dof, protocol.alpha, protocol.ratio)
        losses = np.array([r.errors[kind].sum(axis=0) / r.validation.sum() for r in runs])
        c = compare(losses, protocol.dof, theory, stream(0, 7), above=float(protocol.dof[-1]) / 100)
        parts = {"theory": theory, "median": c.median, "low": c.low16, "high": c.high84}
        out |= {f"{kind}_{name}": values for name, values in parts.items()}
    return out


def sizes_of_clusters(seed: int = 0, protocol: Protocol | None = None) -> Numbers:
    """Figure 7 [R: the notebook's size plot]: share of clusters of size s or more, with its exact law."""
    protocol = Protocol() if protocol is None else protocol
    sizes = draw_clusters(seed, protocol)[::-1]
    beyond = bethe.tail_probability(protocol.largest + 1, protocol.degree, protocol.p)
    tail = np.array([bethe.tail_probability(int(s), protocol.degree, protocol.p) for s in sizes]) - beyond
    all_kept = bethe.tail_probability(protocol.smallest, protocol.degree, protocol.p) - beyond
    return {
        "size": sizes,
        "share": 1 - np.arange(sizes.size) / sizes.size,
        "exact": tail / all_kept,
        "power": (sizes / protocol.smallest) ** -0.5,
    }


def single_clusters(
    seed: int = 0, ranks: Iterable[int] = (1, 2, 3), protocol: Protocol | None = None
) -> Numbers:
    """Figure 8: learning curves of single clusters with the fit of eq. 13; ranks from 1."""
    protocol = Protocol() if protocol is None else protocol
    at = np.array([whole(k, "rank", 1, protocol.clusters) - 1 for k in ranks])
    run = run_seed(seed, protocol)
    fit = np.array([cluster_loss(run.single_training[k], run.scale[k], protocol.ratio) for k in at])
    parts = {"training": run.single_training, "loss": run.single_loss, "scale": run.scale}
    return {"rank": at + 1, "fit": fit, "size": run.sizes[at]} | {name: v[at] for name, v in parts.items()}


def width(params: ArrayLike, d_model: ArrayLike) -> Numbers:
    """Figure 10: model width against parameters with the fitted power law (linear space)."""
    p, w = numbers(params, "params", 1), numbers(d_model, "d_model", 1)
    fit = width_fit(p, w)
    line: Array = fit["coefficient"].value * p ** fit["exponent"].value
    return {"params": p, "width": w, "fit": line, "exponent": np.array(fit["exponent"].value)}


FIGURES: dict[int, Callable[..., Numbers]] = {
    1: lattice,
    2: model_laws,
    3: data_laws,
    4: map_of_exponents,
    5: allocation_scan,
    6: seeds_against_theory,
    7: sizes_of_clusters,
    8: single_clusters,
    9: lambda dof=5000.0, **options: allocation_scan(dof=dof, **options),
    10: width,
}


def figure(number: int, **options: Any) -> Numbers:
    """Numbers of one figure as arrays; options are those of its function.

    1 `lattice`, 2 `model_laws`, 3 `data_laws`, 4 `map_of_exponents`, 5 and 9 `allocation_scan` (N = 500
    and 5000), 6 `seeds_against_theory`, 7 `sizes_of_clusters`, 8 `single_clusters`, 10 `width` (needs
    params and d_model).

    Raises
    ------
    InputError
        No such figure, or options it does not take.
    """
    if number not in FIGURES:
        raise InputError("no such figure", expected="1 to 10", got=repr(number))
    try:
        return FIGURES[number](**options)
    except TypeError as error:
        raise InputError(f"figure {number} does not take these options", got=str(error)) from error
