"""The world of the `concepts` system: families of entities and properties, pairs seen, questions asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from opalesce.errors import InputError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Capability:
    """One capability: telling mirror families of the same size apart.

    Each family has `entities` entities and `properties` properties, and every property is true of every
    entity of its family. There are `families` of them, in pairs that mirror each other.
    """

    entities: int
    properties: int
    families: int = 2

    @property
    def name(self) -> str:
        """Sizes of one family, as in "80x320"."""
        return f"{self.entities}x{self.properties}"

    @property
    def pairs(self) -> int:
        """Valid pairs in all its families."""
        return self.families * self.entities * self.properties

    @property
    def threshold(self) -> float:
        """Critical density of seen pairs, 1/sqrt(|E| |K|), of an infinite family of this shape."""
        return 1 / sqrt(self.entities * self.properties)


# Small families fluctuate more, so there are more of them.
LADDER = (Capability(10, 40, 6), Capability(20, 80, 4), Capability(40, 160), Capability(80, 320))


@dataclass(frozen=True)
class Questions:
    """Two-alternative questions about one capability: is k or k' true of e?

    k is an unseen property of e's family; k' belongs to the mirror family and looks like k in the seen
    graph (inside or outside its family's largest component, and of the nearest degree), so that neither
    how often a property was seen nor which pairs were *not* seen gives the answer away.
    """

    entity: Ints
    true: Ints
    false: Ints


@dataclass(frozen=True)
class World:
    """All pairs that are valid, in the order in which they are seen; the twin's order beside it.

    Families come in mirror pairs, 2 j and 2 j + 1, capability by capability; entities and properties are
    numbered family by family. The first m rows of `order` are what is seen at m pairs, so that a ladder
    of m is one growing data set. In the twin each entity keeps how often it is seen and each property too,
    but who goes with whom is shuffled over all families.
    """

    capabilities: tuple[Capability, ...]
    order: Ints
    twin_order: Ints

    @classmethod
    def draw(cls, rng: np.random.Generator, capabilities: tuple[Capability, ...] = LADDER) -> World:
        """A world with its pairs in random order.

        Raises
        ------
        InputError
            No capability, a family without entities or properties, or an odd number of families.
        """
        if not capabilities or any(
            min(c.entities, c.properties, c.families) < 1 or c.families % 2 for c in capabilities
        ):
            raise InputError(
                "a world needs families in pairs", expected="sizes of 1 or more", got=str(capabilities)
            )
        pairs, e0, k0 = [], 0, 0
        for c in capabilities:
            for _ in range(c.families):
                e, k = np.divmod(np.arange(c.entities * c.properties), c.properties)
                pairs.append(np.stack([e + e0, k + k0], axis=1))
                e0, k0 = e0 + c.entities, k0 + c.properties
        order = rng.permutation(np.concatenate(pairs))
        twin = np.stack([order[:, 0], rng.permutation(order[:, 1])], axis=1)
        return cls(capabilities, order, twin)

    @cached_property
    def entity_family(self) -> Ints:
        """Family of each entity."""
        sizes = self._sizes("entities")
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def property_family(self) -> Ints:
        """Family of each property."""
        sizes = self._sizes("properties")
        return np.repeat(np.arange(len(sizes)), sizes)

    def _sizes(self, what: str) -> Ints:
        return np.repeat([getattr(c, what) for c in self.capabilities], self._families())

    def _families(self) -> list[int]:
        return [c.families for c in self.capabilities]

    def families(self, capability: int) -> range:
        """Numbers of the families of one capability."""
        start = sum(self._families()[:capability])
        return range(start, start + self.capabilities[capability].families)

    def seen(self, m: int, twin: bool = False) -> NDArray[np.bool_]:
        """Matrix (entities, properties) of the first m pairs.

        Raises
        ------
        InputError
            m is not between 0 and the number of valid pairs.
        """
        if not 0 <= m <= len(self.order):
            raise InputError("no such number of pairs", expected=f"0 to {len(self.order)}", got=str(m))
        out = np.zeros((len(self.entity_family), len(self.property_family)), bool)
        e, k = (self.twin_order if twin else self.order)[:m].T
        out[e, k] = True
        return out


@dataclass(frozen=True)
class SeenGraph:
    """The bipartite graph of seen pairs: its components, and what follows from them."""

    world: World
    seen: NDArray[np.bool_]

    @cached_property
    def labels(self) -> tuple[Ints, Ints]:
        """Component of every entity and of every property."""
        n, k = self.seen.shape
        i, j = np.nonzero(self.seen)
        graph = coo_matrix((np.ones(len(i), np.int8), (i, j + n)), shape=(n + k, n + k))
        label = connected_components(graph, directed=False)[1].astype(np.int64)
        return label[:n], label[n:]

    def _members(self, family: int) -> tuple[Ints, Ints]:
        w = self.world
        return np.flatnonzero(w.entity_family == family), np.flatnonzero(w.property_family == family)

    def counts(self, family: int) -> tuple[Ints, Ints]:
        """Entities and properties of one family in each of the components it reaches."""
        e, k = self._members(family)
        label = np.unique(np.concatenate([self.labels[0][e], self.labels[1][k]]), return_inverse=True)[1]
        m = int(label.max()) + 1
        return np.bincount(label[: len(e)], minlength=m), np.bincount(label[len(e) :], minlength=m)

    def connected(self, capability: int) -> float:
        """Share of the unseen valid pairs whose two ends lie in one component, exact."""
        linked = unseen = 0
        for family in self.world.families(capability):
            e, k = self._members(family)
            a, b = self.counts(family)
            seen = int(self.seen[np.ix_(e, k)].sum())
            linked += int(a @ b) - seen
            unseen += len(e) * len(k) - seen
        return linked / unseen if unseen else float("nan")

    def oracle(self, capability: int) -> float:
        """AUC of inference by connected component: 1/2 + 1/2 P(an unseen valid pair is connected).

        Pairs that are connected are answered rightly, because k' never shares a component with e; of the
        others nothing is known.
        """
        return 0.5 + 0.5 * self.connected(capability)

    def giant(self, capability: int) -> float:
        """Share of the nodes of a family in its largest component, mean over its families."""
        shares = []
        for family in self.world.families(capability):
            size = np.sum(self.counts(family), axis=0)
            shares.append(size.max() / size.sum())
        return float(np.mean(shares))

    def questions(self, capability: int, rng: np.random.Generator, n: int = 4000) -> Questions:
        """At most n questions about one capability, from all unseen valid pairs, its families alike."""
        parts = []
        share = n // self.world.capabilities[capability].families
        for family in self.world.families(capability):
            e, k = self._members(family)
            i, j = np.nonzero(~self.seen[np.ix_(e, k)])
            pick = rng.permutation(len(i))[:share]
            mirror = self._members(family ^ 1)[1]
            parts.append((e[i[pick]], k[j[pick]], self._alike(k[j[pick]], mirror, rng)))
        return Questions(*(np.concatenate(x) for x in zip(*parts, strict=True)))

    def _alike(self, k: Ints, candidates: Ints, rng: np.random.Generator) -> Ints:
        """For each property a random one of the mirror family's that is nearest to it in the seen graph."""
        degree = self.seen.sum(axis=0)
        size = np.bincount(np.concatenate(self.labels))
        inside = np.zeros(len(degree), bool)
        for group in (k, candidates):  # both groups lie in one family each
            s = size[self.labels[1][group]]
            inside[group] = s == size[self.labels[1][self._members(self._family_of(group))[1]]].max()
        far = 1e6 * (inside[k][:, None] != inside[candidates][None])
        distance = far + np.abs(degree[k][:, None] - degree[candidates][None])
        return np.asarray(candidates[(distance + rng.random(distance.shape)).argmin(axis=1)])

    def _family_of(self, properties: Ints) -> int:
        return int(self.world.property_family[properties[0]]) if len(properties) else 0

    def naive(self, capability: int, rng: np.random.Generator, n: int = 4000) -> Questions:
        """The same questions with k' from any other family: what is usually asked, and misleads.

        A property that is joined to a large component of another family is ruled out by what is absent,
        so these questions can be answered without any connection between e and k.
        """
        matched = self.questions(capability, rng, n)
        family = self.world.property_family
        e_family = self.world.entity_family[matched.entity]
        other = np.empty_like(matched.false)
        for f in np.unique(e_family):
            at = e_family == f
            other[at] = rng.choice(np.flatnonzero(family != f), at.sum())
        return Questions(matched.entity, matched.true, other)


def auc(scores: NDArray[np.floating], q: Questions) -> float:
    """Share of questions in which the true property scores higher, ties counted half.

    Equal to the area under the ROC curve of the same score over these pairs.
    """
    right, wrong = scores[q.entity, q.true], scores[q.entity, q.false]
    return float(np.mean((right > wrong) + 0.5 * (right == wrong))) if len(right) else float("nan")
