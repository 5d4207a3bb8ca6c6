r"""Neuron-based multifractal analysis of weights (NeuroMFA), scale-free and as published.

Neurons are coordinates of hidden vectors, weights their one-hop edges of length 1/|w|. `multifractal_*` are
scale-free: nothing changes when a matrix is multiplied by a number. `paper_*` repeat the published rules on
published samples; their alpha_0 and E follow the size of the weights (`theory.multifractal.neurons`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable
from opalesce.theory.multifractal.exponents import MassExponents, SingularitySpectrum, emergence, legendre
from opalesce.theory.multifractal.neurons import LIMIT, ScaleFree, paper_exponents

LinkPart = Literal["qkv", "out", "up", "down", "plain"]
FREE = frozenset({"scale", "permutation", "sign"})
N, SAMPLES = 32, 10  # neurons per hidden vector and sampled networks, as published in 2025


@dataclass(frozen=True)
class Link:
    """Edges from one hidden vector to the next.

    Attributes
    ----------
    part : {"qkv", "out", "up", "down", "plain"}
        Place in a transformer block, or "plain".
    sources : int
        Neurons that the edges leave.
    sizes : tuple of int
        Neurons that they reach, matrix by matrix where several stand side by side.
    read : function
        Gives the matrix (sources, sum of sizes); called once per pass, and not kept.
    take : function, optional
        Gives the submatrix of some sources and targets without reading the rest.
    """

    part: LinkPart
    sources: int
    sizes: tuple[int, ...]
    read: Callable[[], NDArray[np.floating]]
    take: Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.floating]] | None = None


def _held(w: NDArray[np.floating]) -> Link:
    return Link("plain", w.shape[0], (w.shape[1],), lambda: w)


@dataclass(frozen=True)
class Neurons:
    """View `neurons`: a chain of matrices from neurons to neurons; a single matrix is a chain of one."""

    links: tuple[Link, ...]

    @classmethod
    def of(cls, *weights: ArrayLike) -> Neurons:
        """A chain of plain matrices, each (sources, targets).

        Raises
        ------
        InputError
            Empty, non-finite or not matrices.
        """
        return cls(tuple(_held(finite(w, "the weight", ndim=2)) for w in weights))

    def matrices(self) -> Iterator[NDArray[np.floating]]:
        """The matrices (sources, targets) of all links, read one at a time.

        Raises
        ------
        InputError
            A matrix is empty or not finite.
        """
        for link in self.links:
            yield finite(link.read(), "a matrix of the network", ndim=2)

    @cached_property
    def sums(self) -> ScaleFree:
        """Scale-free sums over all neurons, in one pass."""
        out = ScaleFree()
        for w in self.matrices():
            out.add(w)
        return out

    @cached_property
    def exponents(self) -> MassExponents:
        """Scale-free tau(q); errors as `ScaleFree.exponents`."""
        return self.sums.exponents()

    @cached_property
    def spectrum(self) -> SingularitySpectrum:
        """f(alpha) by central differences."""
        return legendre(self.exponents)

    @cached_property
    def samples(self) -> list[SingularitySpectrum]:
        """Published spectra of the published samples."""
        return paper_spectra(self)


def sampled(chain: Neurons, n: int, sample: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Neurons (sources, targets) of each link in one sampled network.

    n of each hidden vector, 2n of the MLP's; one random stream per sample number, so that all checkpoints
    of a run meet the same neurons. Of a fused projection of three equal parts, the targets are those of its
    first part and their twins at the same place in the other two, as published; of matrices of unequal
    size, each has its own n (reconstruction).
    """
    rng = np.random.default_rng([sample])

    def draw(size: int, number: int) -> NDArray[np.intp]:
        return np.sort(rng.choice(size, min(size, number), replace=False))

    out: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    stream = draw(chain.links[0].sources, n)  # of the residual stream, or of a plain layer
    waiting: list[NDArray[np.intp]] = []  # heads' outputs or hidden neurons that their own link will leave
    before: Link | None = None
    for link in chain.links:
        inner = link.part in ("out", "down")
        sources = waiting.pop(0) if inner and waiting else stream
        if sources.max() >= link.sources:
            sources = draw(link.sources, n)
        if inner and before is not None and before.part == link.part:  # experts write to the same neurons
            targets = stream
        else:
            targets = _targets(link, n, draw)
        first = targets[targets < link.sizes[0]]
        if link.part == "qkv" and link.sizes == (3 * link.sources,):
            first = targets[targets < link.sources]
        if link.part in ("qkv", "up"):
            waiting.append(first)
        else:
            stream = first
        before = link
        out.append((sources, targets))
    return out


def _targets(link: Link, n: int, draw: Callable[[int, int], NDArray[np.intp]]) -> NDArray[np.intp]:
    number = 2 * n if link.part == "up" else n
    sizes = link.sizes
    if link.part == "qkv" and len(sizes) == 1 and sizes[0] == 3 * link.sources:
        sizes = (link.sources,) * 3  # fused: the twins at the same place in each third
    first = draw(sizes[0], number)
    parts, at = [first], sizes[0]
    for size in sizes[1:]:
        parts.append(at + (first if size == sizes[0] else draw(size, number)))
        at += size
    return np.concatenate(parts)


def paper_spectra(
    chain: Neurons,
    n: int = N,
    samples: int = SAMPLES,
    limit: int = LIMIT,
    keep: list[list[NDArray[np.floating]]] | None = None,
) -> list[SingularitySpectrum]:
    """Published spectra of `samples` sampled networks of n neurons per hidden vector (2n in the MLP).

    Every matrix is read once, or only its sampled entries where the source can give them. Biases, norms and
    the constant attention step of the release are left out: its edges have length 1, which the rule 1 < d
    excludes.

    `keep`, when given, is filled with the sampled matrices of each network.

    Raises
    ------
    InputError
        From `paper_exponents`, when no sampled neuron has more than 10 edges in range.
    """
    plans = [sampled(chain, n, s) for s in range(samples)]
    taken: list[list[NDArray[np.floating]]] = [[] for _ in plans]
    if keep is not None:
        keep[:] = taken
    for k, link in enumerate(chain.links):
        take = link.take or _slicer(link)
        for mine, plan in zip(taken, plans, strict=True):
            mine.append(finite(take(*plan[k]), "a matrix of the network", ndim=2))
    return [legendre(paper_exponents(mine, limit), "backward") for mine in taken]


def _slicer(link: Link) -> Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.floating]]:
    w = finite(link.read(), "a matrix of the network", ndim=2)
    return lambda sources, targets: w[np.ix_(sources, targets)]


def _mean(spectra: list[SingularitySpectrum]) -> tuple[float, float]:
    return float(np.mean([s.width for s in spectra])), float(np.mean([s.alpha0 for s in spectra]))


@observable(
    on="neurons",
    unit="1",
    symmetries=FREE,
    null="half_normal",
    source="xiao2025neuromfa, partition function of the release; scale-free form ours",
)
def multifractal_alpha0(neurons: Neurons) -> float:
    r"""Regularity: how fast a typical neuron's edges fill with radius, free of scale.

    .. math::

        \alpha_0 = \tau'(0) = \mathrm{slope\ of\ } \langle \ln N_i(r) \rangle_i \mathrm{\ on\ } \ln r, \quad
        Z_q(r) = \sum_i \Big(\frac{N_i(r)}{N_i}\Big)^q \sim r^{\tau(q)}, \quad d_{ij} = \mathrm{rms}/|w_{ij}|

    N_i(r) is 1 + edges of neuron i shorter than r; the window holds 2 % to 50 % of all edges. The mean of
    per-neuron dimensions, equal to the information dimension of boxes where there is scaling. Null: normal
    weights, `theory.multifractal.neurons.gaussian_alpha0` (2.35 at 400 targets, R^2 0.94: there is no scaling
    regime); heavier tails lower it. Needs neurons with more than 10 edges.

    Raises
    ------
    InputError
        Non-finite weights; fewer than four radii in the window.
    """
    return neurons.spectrum.alpha0


@observable(
    on="neurons",
    unit="1",
    symmetries=FREE,
    null="shuffle",
    source="xiao2025neuromfa, width of the spectrum; scale-free form ours",
)
def multifractal_width(neurons: Neurons) -> float:
    r"""Heterogeneity: width of the spectrum of neurons, free of scale.

    .. math:: w = \max_q \alpha(q) - \min_q \alpha(q), \quad |q| \le 3

    Window and sums as `multifractal_alpha0`. A homogeneous network of short rows has a width too (0.3 for
    normal 800 x 400 weights, 0.04 for 2000 x 3000): compare with shuffled entries of the same shape.

    Raises
    ------
    InputError
        As `multifractal_alpha0`.
    """
    return neurons.spectrum.width


@observable(
    on="neurons",
    unit="1",
    symmetries=FREE,
    null="shuffle",
    source="xiao2025neuromfa, fit of the mass exponent; scale-free form ours",
)
def multifractal_r2(neurons: Neurons) -> float:
    r"""Goodness of the scaling behind the exponents: R^2 of the line at q = 1.

    .. math:: R^2 = 1 - \mathrm{RSS}/\mathrm{TSS} \mathrm{\ of\ } \ln Z_1(r) \mathrm{\ on\ } \ln r

    Near 1 only where there is a power law; normal weights give 0.94, which is a curve, not a line.

    Raises
    ------
    InputError
        As `multifractal_alpha0`.
    """
    m = neurons.exponents
    return float(m.r2[np.argmin(np.abs(m.q - 1))])


@observable(
    on="neurons",
    unit="1",
    symmetries=FREE,
    null="shuffle",
    dim="moment",
    source="xiao2025neuromfa, mass exponent; scale-free form ours",
)
def multifractal_tau(neurons: Neurons) -> NDArray[np.float64]:
    r"""Mass exponents at q = -3, -2.9, ... 3: all that the spectrum f(alpha) needs.

    .. math:: Z_q(r) \sim r^{\tau(q)}, \quad \alpha = \tau', \quad f = q \alpha - \tau

    Raises
    ------
    InputError
        As `multifractal_alpha0`.
    """
    return neurons.exponents.tau


@observable(
    on="neurons_pair",
    unit="1",
    symmetries=FREE,
    null="shuffle",
    source="xiao2025neuromfa, degree of emergence; scale-free form ours",
)
def multifractal_emergence(pair: tuple[Neurons, Neurons]) -> float:
    r"""Degree of emergence against the first checkpoint, free of scale.

    .. math:: E = \frac{w}{w_0} \ln \frac{\alpha_0(0)}{\alpha_0}

    0 at the first checkpoint, and for any rescaled copy of it. "Emergence" is the source's word: it is a
    descriptor of structure, with a null (shuffled entries), not a sign of a transition.

    Raises
    ------
    InputError
        As `multifractal_alpha0`.
    """
    now, first = (x.spectrum for x in pair)
    return emergence(now.width, now.alpha0, first.width, first.alpha0)


@observable(
    on="neurons",
    unit="1",
    symmetries={"sign"},
    null="shuffle",
    source="xiao2025neuromfa, regularity, as in the release",
)
def paper_alpha0(neurons: Neurons) -> float:
    r"""Regularity by the published rules: mean of alpha_0 over 10 sampled networks.

    .. math:: \alpha_0 = \alpha_k, \; k = \arg\max f_k, \quad \alpha_k = \frac{\tau(q_k) - \tau(q_{k-1})}{0.1}

    Integer lengths 1 < 1/|w| <= 150. It follows the size of the weights: see `multifractal_alpha0`.

    Raises
    ------
    InputError
        From `paper_exponents`.
    """
    return _mean(neurons.samples)[1]


@observable(
    on="neurons",
    unit="1",
    symmetries={"sign"},
    null="shuffle",
    source="xiao2025neuromfa, heterogeneity, as in the release",
)
def paper_width(neurons: Neurons) -> float:
    r"""Heterogeneity by the published rules: mean width over 10 sampled networks.

    .. math:: w = \max_k \alpha_k - \min_k \alpha_k

    Rows of 32 to 192 edges make most of it: a perfectly homogeneous network shows 0.3.

    Raises
    ------
    InputError
        From `paper_exponents`.
    """
    return _mean(neurons.samples)[0]


@observable(
    on="neurons_pair",
    unit="1",
    symmetries={"sign"},
    null="shuffle",
    source="xiao2025neuromfa, degree of emergence, as in the release",
)
def paper_emergence(pair: tuple[Neurons, Neurons]) -> float:
    r"""Degree of emergence by the published rules.

    .. math:: E = \frac{\bar w}{\bar w_0} \ln \frac{\bar\alpha_0(0)}{\bar\alpha_0}

    Means over 10 sampled networks. **Doubling all weights of a Gaussian network gives 0.25, tripling
    0.5**: the published 0.3 to 0.8 can come from growth alone. Look at `multifractal_emergence`.

    Raises
    ------
    InputError
        From `paper_exponents`.
    """
    now, first = (_mean(x.samples) for x in pair)
    return emergence(*now, *first)
