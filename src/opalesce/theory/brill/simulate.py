"""The paper's experiment: clusters, targets, scale factors, model and data scaling (brill2024neural).

Clusters are made, measured and dropped one at a time, each from its own random stream (seed, rank), so
memory is that of the largest cluster (about 30 bytes a site) and results do not depend on the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.theory.brill import bethe
from opalesce.theory.brill.allocation import allocate
from opalesce.theory.brill.given import allocate_given
from opalesce.theory.brill.nearest import squared_errors
from opalesce.theory.brill.scale import fit_scale
from opalesce.theory.brill.targets import Floats, random_walk_targets
from opalesce.theory.brill.trees import Ints, bethe_tree
from opalesce.theory.checks import Array, positive, whole


@dataclass(frozen=True)
class Protocol:
    """Constants of the experiment; the defaults are those of the published notebook.

    Attributes
    ----------
    degree : int
        z of the Bethe lattice, 2d for d = 100.
    bond_ratio : float
        p/p_c. Below 1 sizes are cut off; above 1 clusters that never end are left out like the too large.
    smallest, largest : int
        Sizes kept.
    expected_large : float
        Expected number of clusters too large to keep, from which the number kept follows.
    alpha, ratio : float
        Exponents of the theory that allocates degrees of freedom: alpha and c/D.
    single_points, single_validation, single_most, single_share : int, int, float, float
        Curves of single clusters: points, validation sites, most training sites, largest training share.
    points, most_dof : int, float
        Points of the overall curves, N geometric from 1 to `most_dof`.
    validation_share, training_share : float
        Share of sites that validate, and the largest share that may train.
    allocation : {"law", "sizes"}
        Shares of the model by the rank law with `alpha` (the paper), or by the sizes at hand (`given`);
        away from the threshold there is no rank law.
    one_scale : float, optional
        Use this scale factor for every cluster in the overall curves in place of the fitted ones.
    """

    degree: int = 200
    bond_ratio: float = 1.0
    smallest: int = 300
    largest: int = 30_000_000
    expected_large: float = 1.0
    alpha: float = 1.0
    ratio: float = 0.5
    single_points: int = 50
    single_validation: int = 40
    single_most: float = 10_000
    single_share: float = 0.1
    points: int = 50
    most_dof: float = 30_000
    validation_share: float = 0.001
    training_share: float = 0.95
    allocation: Literal["law", "sizes"] = "law"
    one_scale: float | None = None

    def __post_init__(self) -> None:
        whole(self.degree, "degree", 3, 256)
        whole(self.smallest, "smallest", 20)
        whole(self.largest, "largest", self.smallest)
        whole(self.single_points, "single_points", 3)
        whole(self.single_validation, "single_validation", 1, self.smallest)
        whole(self.points, "points", 2)
        for name in ("bond_ratio", "expected_large", "alpha", "ratio", "single_most", "most_dof"):
            positive(getattr(self, name), name)
        for name in ("single_share", "validation_share", "training_share"):
            positive(getattr(self, name), name, 0, 1)
        if self.allocation not in ("law", "sizes"):
            raise InputError("unknown allocation", expected="'law' or 'sizes'", got=repr(self.allocation))
        if self.one_scale is not None:
            positive(self.one_scale, "one_scale")

    @property
    def p(self) -> float:
        """Bond probability."""
        return self.bond_ratio * bethe.threshold(self.degree)

    @property
    def clusters(self) -> int:
        """int(expected_large (largest/smallest)^(tau-2)), tau = 5/2: 316 by default."""
        return max(1, int(self.expected_large * (self.largest / self.smallest) ** 0.5))

    @property
    def dof(self) -> Array:
        """The numbers of degrees of freedom N of the overall curves."""
        return np.geomspace(1.0, self.most_dof, self.points)


@dataclass(frozen=True)
class Seed:
    """What one seed gives; clusters by rank, the largest first. K clusters, n points.

    Attributes
    ----------
    protocol : Protocol
    sizes : array of int, shape (K,)
    n_small, n_large : int
        Clusters discarded.
    scale, scale_stderr : array, shape (K,)
        Scale factors f_k.
    single_training, single_loss : array, shape (K, single_points)
        Learning curve of each cluster on its own.
    validation : array of int, shape (K,)
        Validation sites of each cluster in the overall curves.
    errors : dict of array, shape (K, n)
        Sums of squared errors: "model", "data".
    """

    protocol: Protocol
    sizes: NDArray[np.int64]
    n_small: int
    n_large: int
    scale: Array
    scale_stderr: Array
    single_training: Array
    single_loss: Array
    validation: NDArray[np.int64]
    errors: dict[str, Array]

    def loss(self, kind: Literal["model", "data"]) -> Array:
        """Mean squared error over all validation sites, shape (n,)."""
        return np.asarray(self.errors[kind].sum(axis=0) / self.validation.sum())

    def cluster_curves(self, kind: Literal["model", "data"]) -> Array:
        """Mean squared error of each cluster, shape (K, n); NaN for clusters without validation sites."""
        count = np.where(self.validation > 0, self.validation, np.nan)
        return np.asarray(self.errors[kind] / count[:, None])


def stream(seed: int, *key: int) -> np.random.Generator:
    """Random numbers of one cell of a seed."""
    return np.random.default_rng(np.random.SeedSequence(whole(seed, "seed", 0, 2**63), spawn_key=key))


def draw_clusters(seed: int, protocol: Protocol) -> NDArray[np.int64]:
    """Sizes of the clusters of one seed, the largest first."""
    sizes = bethe.draw_sizes(
        protocol.clusters, protocol.degree, stream(seed, 0), protocol.smallest, protocol.largest, protocol.p
    )
    return np.sort(sizes)[::-1]


def grow(seed: int, rank: int, size: int, protocol: Protocol) -> tuple[Ints, Floats]:
    """Tree and standardised targets of the cluster of that rank (1 for the largest)."""
    rng = stream(seed, 1, rank)
    parent = bethe_tree(size, protocol.degree, rng)
    return parent, random_walk_targets(parent, rng)


def _single(
    parent: Ints, value: Floats, protocol: Protocol, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Array]:
    """Learning curve of one cluster: numbers of training sites and mean squared errors."""
    size = parent.size
    share = np.geomspace(
        1 / size, min(protocol.single_most / size, protocol.single_share), protocol.single_points
    )
    training = rng.binomial(size, share)
    errors = squared_errors(parent, value, training, protocol.single_validation, rng)
    return training, errors / protocol.single_validation


def run_seed(seed: int, protocol: Protocol | None = None) -> Seed:
    """Generate the clusters of one seed and measure every curve.

    Model scaling trains cluster k on a share :math:`n_k f_k / s_k` of its sites, n_k from `allocate`; data
    scaling on a share :math:`N f_k / \\sum s`. Numbers of training sites are binomial. The scale factors
    are fitted on the same clusters first: K free numbers of which the overall curves make use, unless
    `one_scale` is set.

    Parameters
    ----------
    seed : int
    protocol : Protocol, optional

    Returns
    -------
    Seed

    Raises
    ------
    InputError
        Seed or protocol out of range.
    """
    protocol = Protocol() if protocol is None else protocol
    sizes, k_max, dof = draw_clusters(seed, protocol), protocol.clusters, protocol.dof
    small, large = bethe.draw_discarded(
        k_max, protocol.degree, stream(seed, 2), protocol.smallest, protocol.largest, protocol.p
    )
    if protocol.allocation == "law":
        shares = np.array([allocate(n, k_max, protocol.alpha, protocol.ratio) for n in dof])
    else:
        shares = np.array([allocate_given(sizes, protocol.ratio, n) for n in dof])
    validation = np.rint(protocol.validation_share * sizes).astype(np.int64)
    if validation.sum() == 0:
        raise InputError(
            "no cluster is large enough for a validation site",
            expected="validation_share * size >= 0.5 somewhere",
            got=f"largest cluster {sizes[0]}",
            fix="raise validation_share or largest",
        )
    scale, stderr = np.empty(k_max), np.empty(k_max)
    training = np.empty((k_max, protocol.single_points))
    loss = np.empty((k_max, protocol.single_points))
    errors = {kind: np.zeros((k_max, dof.size)) for kind in ("model", "data")}
    for at, size in enumerate(sizes):
        parent, value = grow(seed, at + 1, int(size), protocol)
        rng = stream(seed, 3, at + 1)
        training[at], loss[at] = _single(parent, value, protocol, rng)
        scale[at], stderr[at] = fit_scale(training[at], loss[at], protocol.ratio)
        factor = scale[at] if protocol.one_scale is None else protocol.one_scale
        for kind, part in (("model", shares[:, at] / size), ("data", dof / sizes.sum())):
            count = rng.binomial(size, np.minimum(part * factor, protocol.training_share))
            errors[kind][at] = squared_errors(parent, value, count, int(validation[at]), rng)
    return Seed(protocol, sizes, small, large, scale, stderr, training, loss, validation, errors)
