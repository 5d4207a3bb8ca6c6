"""One pass over the residual stream of one layer: what order parameters and covariances need, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite

Array = NDArray[np.float64]


def integrity_of(h: ArrayLike) -> Array:
    r"""Object integrity of each row.

    .. math:: \Omega(h) = 1 - \frac{\|h\|_1}{\sqrt d\, \|h\|_2}

    Between 0 (all coordinates of one size) and :math:`1 - 1/\sqrt d` (one coordinate). It is Hoyer's
    sparsity, rescaled: :math:`\mathrm{Hoyer} = \Omega \sqrt d/(\sqrt d - 1)`. Rows of zeros give NaN.
    Source: Alpay and Kilictas 2026, abstract.

    Raises
    ------
    InputError
        Not (n, d), empty or not finite.
    """
    x = np.asarray(finite(h, "the activations", ndim=2), np.float64)
    top = np.abs(x).max(axis=1, keepdims=True)
    y = np.abs(x) / np.where(top > 0, top, 1.0)
    two = np.sqrt((y * y).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - y.sum(axis=1) / (np.sqrt(x.shape[1]) * two))


@dataclass(frozen=True)
class Moments:
    """View `moments`: sums over tokens of one layer. Make it with `of`, join with `merge`.

    Attributes
    ----------
    n : int
        Tokens.
    mean : array, shape (d,)
    scatter : array, shape (d, d)
        Sum of (h - mean)(h - mean)^T.
    integrity : array, shape (5,)
        Number of tokens with a defined Omega, and sums of its first four powers about the Gaussian value.
    """

    n: int
    mean: Array
    scatter: Array
    integrity: Array

    @classmethod
    def of(cls, h: ArrayLike) -> Moments:
        """Moments of a batch (tokens, d).

        Raises
        ------
        InputError
            Not (n, d), empty or not finite: a bad batch never enters a mean.
        """
        x = np.asarray(finite(h, "the activations", ndim=2), np.float64)
        mean = x.mean(axis=0)
        off = x - mean
        return cls(len(x), mean, off.T @ off, cls.of_integrity(x))

    @staticmethod
    def of_integrity(h: ArrayLike) -> Array:
        """Attribute `integrity` of a batch (tokens, d) alone, where covariances are taken elsewhere.

        Raises
        ------
        InputError
            Not (n, d), empty or not finite.
        """
        omega = integrity_of(h)
        delta = omega[np.isfinite(omega)] - GAUSSIAN
        return np.array([float(delta.size), *(float((delta**k).sum()) for k in (1, 2, 3, 4))])

    def add(self, h: ArrayLike) -> Moments:
        """Moments with one more batch (tokens, d).

        Raises
        ------
        InputError
            From `of` and `merge`.
        """
        return self.merge(Moments.of(h))

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets of tokens together (Chan, Golub and LeVeque 1983).

        Raises
        ------
        InputError
            Layers of different width.
        """
        if self.mean.shape != other.mean.shape:
            raise InputError(
                "layers of different width", expected=str(self.mean.size), got=str(other.mean.size)
            )
        n = self.n + other.n
        gap = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.n * other.n / n)
        return Moments(n, self.mean + gap * (other.n / n), scatter, self.integrity + other.integrity)

    @property
    def width(self) -> int:
        """d."""
        return int(self.mean.size)

    @cached_property
    def eigenvalues(self) -> Array:
        """Of the covariance scatter / (n - 1), largest first; clipped at 0."""
        values = np.linalg.eigvalsh(self.scatter)[::-1] / max(self.n - 1, 1)
        return np.clip(values, 0.0, None)

    @cached_property
    def second_moment(self) -> Array:
        """Eigenvalues of the uncentred E[h h^T], largest first."""
        raw = self.scatter / self.n + np.outer(self.mean, self.mean)
        return np.clip(np.linalg.eigvalsh(raw)[::-1], 0.0, None)

    def central(self) -> tuple[float, float, float]:
        """Mean of Omega, its variance over tokens, and <x^4>/(3 <x^2>^2) with x = Omega - Gaussian value."""
        count, s1, s2, _, s4 = self.integrity
        if count < 2:
            return float("nan"), float("nan"), float("nan")
        m1, m2 = s1 / count, s2 / count
        ratio = (s4 / count) / (3 * m2 * m2) if m2 > 0 else float("nan")
        return float(GAUSSIAN + m1), float(max(m2 - m1 * m1, 0.0) * count / (count - 1)), float(ratio)


GAUSSIAN = float(1 - np.sqrt(2 / np.pi))  # Omega of independent normal coordinates, large d: 0.20212
