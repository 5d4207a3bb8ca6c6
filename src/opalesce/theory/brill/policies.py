"""How training sites are chosen changes the exponent: random, active, pruned, in runs (our addition [R]).

The paper leaves sampling open. Here every policy picks n training sites from the same clusters, the paper's
estimator predicts all the others, and the slope of the loss against n is fitted with an interval over seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.brill.nearest import nearest, shrunk
from opalesce.theory.brill.simulate import Protocol, draw_clusters, grow, stream
from opalesce.theory.brill.summary import log_slope
from opalesce.theory.brill.targets import Floats
from opalesce.theory.brill.trees import Ints
from opalesce.theory.checks import Array, positive, whole

Sites = NDArray[np.int64]
SMALL = Protocol(largest=300_000, expected_large=2.0)  # 63 clusters, about 6e5 sites
RUN = 32  # sites in a run, and number of streams
POOL = 8  # candidates for each site kept by pruning


@dataclass(frozen=True)
class Data:
    """Clusters of one seed end to end; sites are numbered through."""

    trees: tuple[Ints, ...]
    values: tuple[Floats, ...]
    start: Sites

    @property
    def sites(self) -> int:
        """Number of sites."""
        return int(self.start[-1])

    def split(self, training: Sites) -> list[Sites]:
        """Training sites by cluster, numbered within it."""
        t = np.sort(training)
        cuts = np.searchsorted(t, self.start)
        return [t[a:b] - s for a, b, s in zip(cuts[:-1], cuts[1:], self.start[:-1], strict=True)]

    def spread(self, training: Sites) -> tuple[Array, Array]:
        """Prediction and prior-scaled variance of every site (eqs 38-42): 0 and 1 where nothing is known."""
        guess, variance = np.zeros(self.sites), np.ones(self.sites)
        parts = zip(self.trees, self.values, self.split(training), self.start[:-1], strict=True)
        for parent, value, t, s in parts:
            if t.size == 0:
                continue
            distance, site = nearest(parent, t)
            guess[s : s + parent.size] = shrunk(value[site], distance, parent.size)
            noise = distance / parent.size**0.5
            variance[s : s + parent.size] = noise / (1 + noise)
        return guess, variance

    def loss(self, training: Sites) -> float:
        """Mean squared error over the sites that do not train."""
        error = (np.concatenate(self.values) - self.spread(training)[0]) ** 2
        error[training] = 0.0
        return float(error.sum() / (self.sites - np.unique(training).size))


def make_data(seed: int, protocol: Protocol = SMALL) -> Data:
    """Clusters of one seed, those of `simulate.run_seed` for the same protocol.

    Raises
    ------
    InputError
        More than 2^27 sites: all clusters are held at once here.
    """
    sizes = draw_clusters(seed, protocol)
    if sizes.sum() > 2**27:
        raise InputError("too many sites to hold at once", expected="at most 2^27", got=str(sizes.sum()))
    made = [grow(seed, k + 1, int(size), protocol) for k, size in enumerate(sizes)]
    start = np.concatenate([[0], np.cumsum(sizes)])
    return Data(tuple(m[0] for m in made), tuple(m[1] for m in made), start)


def _weighted(weight: Array, n: int, rng: np.random.Generator) -> Sites:
    """n sites without replacement, chances by weight (exponential keys); weight 0 is taken last."""
    with np.errstate(divide="ignore"):
        keys = rng.standard_exponential(weight.size) / weight
    return np.argpartition(keys, n - 1)[:n]


def random_sites(data: Data, n: int, rng: np.random.Generator) -> Sites:
    """Uniform over sites: the paper's choice."""
    return rng.choice(data.sites, n, replace=False)


def active_sites(data: Data, n: int, rng: np.random.Generator) -> Sites:
    """Rounds that double the set; sites are drawn by their predictive variance, which needs no label."""
    training = random_sites(data, min(n, len(data.trees)), rng)
    while training.size < n:
        variance = data.spread(training)[1]
        variance[training] = 0.0
        training = np.concatenate([training, _weighted(variance, min(training.size, n - training.size), rng)])
    return training


def pruned_sites(data: Data, n: int, rng: np.random.Generator) -> Sites:
    """Half at random, half the hardest of 8 times as many candidates: those worst predicted by the first."""
    half = n // 2
    pool = random_sites(data, min(n - half + POOL * half, data.sites), rng)
    base, rest = pool[: n - half], pool[n - half :]
    hardest = np.argsort(data.spread(base)[1][rest])[::-1][:half]
    return np.concatenate([base, rest[hardest]])


def run_sites(data: Data, n: int, rng: np.random.Generator) -> Sites:
    """Runs of 32 neighbours in depth-first order: correlated, but ever new places."""
    return _runs(data, -(-n // RUN), RUN, n, rng)


def stream_sites(data: Data, n: int, rng: np.random.Generator) -> Sites:
    """32 runs that only grow longer: not ergodic, most places are never seen."""
    return _runs(data, min(RUN, n), -(-n // RUN), n, rng)


def _runs(data: Data, count: int, length: int, n: int, rng: np.random.Generator) -> Sites:
    """`count` runs of `length` sites, then cut to n distinct sites (overlaps are filled at random)."""
    begin = rng.choice(data.sites, count, replace=False)
    sites = np.unique((begin[:, None] + np.arange(length)) % data.sites)
    if sites.size < n:
        others = np.setdiff1d(np.arange(data.sites), sites, assume_unique=True)
        return np.concatenate([sites, rng.choice(others, n - sites.size, replace=False)])
    return rng.choice(sites, n, replace=False) if sites.size > n else sites


POLICIES: dict[str, Callable[[Data, int, np.random.Generator], Sites]] = {
    "random": random_sites,
    "active": active_sites,
    "pruned": pruned_sites,
    "runs": run_sites,
    "streams": stream_sites,
}


@dataclass(frozen=True)
class PolicyCurves:
    """Losses of one policy, shape (seeds, counts), and the exponent of their median with its interval."""

    counts: Sites
    losses: Array
    exponent: Estimate


def policy_curves(
    policy: str,
    seeds: Iterable[int],
    counts: ArrayLike = (250, 500, 1000, 2000, 4000, 8000),
    protocol: Protocol = SMALL,
    draws: int = 2000,
    level: float = 0.9,
) -> PolicyCurves:
    """Loss against the number of training sites under one policy, and its exponent.

    Parameters
    ----------
    policy : str
        A key of `POLICIES`.
    seeds : iterable of int
        Two or more; clusters are the same for every policy.
    counts : array_like of int
        Numbers of training sites, at least two.
    protocol : Protocol
    draws, level : int, float
        Bootstrap over seeds for the exponent.

    Raises
    ------
    InputError
        Unknown policy, counts out of range, too few seeds.
    """
    if policy not in POLICIES:
        raise InputError("unknown sampling policy", expected=", ".join(POLICIES), got=repr(policy))
    n = np.atleast_1d(np.asarray(counts, dtype=np.int64))
    seed_list = list(seeds)
    if n.size < 2 or n.min() < 2 or len(seed_list) < 2:
        raise InputError(
            "no exponent", expected="two counts >= 2 and two seeds", got=f"{n.size}, {len(seed_list)}"
        )
    losses = np.empty((len(seed_list), n.size))
    for i, seed in enumerate(seed_list):
        data = make_data(seed, protocol)
        whole(int(n.max()), "counts", 2, data.sites // 2)
        rng = stream(seed, 4, list(POLICIES).index(policy))
        losses[i] = [data.loss(POLICIES[policy](data, int(v), rng)) for v in n]
    rng = np.random.default_rng(7)
    picks = rng.integers(len(seed_list), size=(whole(draws, "draws", 100), len(seed_list)))
    slopes = [log_slope(n, np.median(losses[row], axis=0)) for row in picks]
    level = positive(level, "level", 0, 1)
    low, high = np.quantile(slopes, [(1 - level) / 2, (1 + level) / 2])
    value = log_slope(n, np.median(losses, axis=0))
    method = "slope of the median curve in logarithms; bootstrap over seeds"
    return PolicyCurves(
        n, losses, Estimate(value, float(low), float(high), len(seed_list), method=method, level=level)
    )
