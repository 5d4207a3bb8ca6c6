"""Neurons of a network and the edges between them: the view that multifractal observables take.

Neurons are coordinates of hidden vectors, weights their one-hop edges of length 1/|w|.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.observables.inputs import finite
from opalesce.theory.multifractal.exponents import MassExponents, SingularitySpectrum, legendre
from opalesce.theory.multifractal.neurons import LIMIT, ScaleFree, paper_exponents

LinkPart = Literal["qkv", "out", "up", "down", "plain"]
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
