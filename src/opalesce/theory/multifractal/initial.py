"""What initialisation alone gives in the published analysis, without any weights.

The published sample of a block takes n neurons of each hidden vector and 2n of the MLP's hidden layer. At
initialisation the sampled entries are independent normal numbers, so they are drawn as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.multifractal.exponents import SingularitySpectrum, legendre
from opalesce.theory.multifractal.neurons import LIMIT, paper_exponents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# width and blocks of the seven Pythia models whose configuration states its initialisation
PYTHIA = {
    "14m": (128, 6),
    "70m": (512, 6),
    "160m": (768, 12),
    "410m": (1024, 24),
    "1b": (2048, 16),
    "1.4b": (2048, 24),
    "2.8b": (2560, 32),
}


@dataclass(frozen=True)
class Initial:
    """Standard deviations of a block: of the matrices that read the stream, and of those that write it."""

    reads: float
    writes: float

    @classmethod
    def pythia(cls, width: int, blocks: int) -> Initial:
        """Of GPT-NeoX: small_init for query_key_value and h_to_4h, wang_init for the two that write."""
        if width < 1 or blocks < 1:
            raise InputError("a model has a width and blocks", expected="1 or more", got=f"{width}, {blocks}")
        return cls((2 / (5 * width)) ** 0.5, 2 / (blocks * width**0.5))


def edges_per_block(n: int) -> int:
    """Edges that the published sample of one block stores, the constant attention step included."""
    return 3 * n * n + (n + 2 * n * n) + n * n + 2 * n * n + 2 * n * n


def sampled_noise(std: Initial, blocks: int, n: int, rng: np.random.Generator) -> list[Array]:
    """Sampled weights at initialisation: four matrices (sources, targets) and 5n neurons a block."""
    out = []
    for _ in range(blocks):
        shapes = ((n, 3 * n, std.reads), (n, n, std.writes), (n, 2 * n, std.reads), (2 * n, n, std.writes))
        out += [rng.standard_normal((a, b)) * s for a, b, s in shapes]
    return out


def initial_spectra(
    std: Initial,
    blocks: int,
    n: int,
    samples: int,
    rng: np.random.Generator,
    limit: int = LIMIT,
    scale: float = 1.0,
) -> list[SingularitySpectrum]:
    """Published spectra of `samples` sampled networks of pure noise, weights times `scale`.

    With another `scale` and the same generator state: the same draw, rescaled.
    """
    found = []
    for _ in range(samples):
        weights = sampled_noise(std, blocks, n, rng)
        found.append(legendre(paper_exponents([scale * w for w in weights], limit), "backward"))
    return found
