r"""How alike two representations of the same inputs are: CKA, Procrustes, shared neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite

Array = NDArray[np.float64]


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    a = np.asarray(finite(x, "the first representation", ndim=2), np.float64)
    b = np.asarray(finite(y, "the second representation", ndim=2), np.float64)
    if len(a) != len(b):
        raise InputError(
            "representations of different inputs", expected="equal numbers of rows", got=f"{len(a)}, {len(b)}"
        )
    return a, b


@dataclass
class _Products:
    """Sums over rows from which the debiased HSIC of two linear kernels follows exactly."""

    cross: Array
    sx: Array
    sy: Array
    px: Array
    py: Array
    ax: float = 0.0
    ay: float = 0.0
    q: float = 0.0

    @classmethod
    def empty(cls, dx: int, dy: int) -> _Products:
        return cls(np.zeros((dx, dy)), np.zeros(dx), np.zeros(dy), np.zeros(dx), np.zeros(dy))

    def add(self, x: Array, y: Array) -> None:
        nx, ny = (x * x).sum(axis=1), (y * y).sum(axis=1)
        self.cross += x.T @ y
        self.sx += x.sum(axis=0)
        self.sy += y.sum(axis=0)
        self.px += ny @ x
        self.py += nx @ y
        self.ax += float(nx.sum())
        self.ay += float(ny.sum())
        self.q += float(nx @ ny)

    def hsic(self, n: int) -> float:
        trace = float((self.cross**2).sum()) - self.q
        one_k = float(self.sx @ self.sx) - self.ax
        one_l = float(self.sy @ self.sy) - self.ay
        both = float(self.sx @ self.cross @ self.sy - self.sx @ self.px - self.sy @ self.py) + self.q
        return (trace + one_k * one_l / ((n - 1) * (n - 2)) - 2 * both / (n - 2)) / (n * (n - 3))


@dataclass
class DebiasedCKA:
    r"""Debiased linear CKA in one pass, without any n x n matrix.

    .. math::

        \mathrm{HSIC}_1 = \frac{1}{n(n-3)} \Big[ \mathrm{tr}\,\tilde K \tilde L
        + \frac{1^T\tilde K 1\; 1^T\tilde L 1}{(n-1)(n-2)} - \frac{2\, 1^T\tilde K\tilde L 1}{n-2} \Big],
        \quad \mathrm{CKA} = \frac{\mathrm{HSIC}_1(K,L)}{\sqrt{\mathrm{HSIC}_1(K,K)\,\mathrm{HSIC}_1(L,L)}}

    K = X X^T with its diagonal set to 0. With A = sum x y^T, s = sums of rows, a = sums of squared lengths,
    q = sum |x|^2 |y|^2 and p = sum x |y|^2: tr = |A|_F^2 - q; 1'K1 = |s_x|^2 - a_x;
    1'KL1 = s_x'A s_y - s_x'p_x - s_y'p_y + q (derived here; equal to the two-pass formula to rounding).
    Source of the estimator: Song et al. 2012, eq. 5; of its use: Kornblith et al. 2019, eq. 3.

    Rows come in batches by `add`; memory is d_x d_y + d_x^2 + d_y^2. Mean 0 for independent representations,
    1 for copies up to rotation and scale. The mean of the first batch is taken off everything, which changes
    nothing but rounding.
    """

    n: int = 0
    _shift: tuple[Array, Array] | None = field(default=None, repr=False)
    _sums: tuple[_Products, _Products, _Products] | None = field(default=None, repr=False)

    def add(self, x: ArrayLike, y: ArrayLike) -> None:
        """Add the same rows of both representations, (b, d_x) and (b, d_y).

        Raises
        ------
        InputError
            Not finite, not matrices, or of different numbers of rows; nothing is added then.
        """
        a, b = _pair(x, y)
        if self._sums is None or self._shift is None:
            self._shift = (a.mean(axis=0), b.mean(axis=0))
            dx, dy = a.shape[1], b.shape[1]
            self._sums = (_Products.empty(dx, dy), _Products.empty(dx, dx), _Products.empty(dy, dy))
        if (a.shape[1], b.shape[1]) != self._sums[0].cross.shape:
            raise InputError(
                "a batch of another width",
                expected=str(self._sums[0].cross.shape),
                got=f"{a.shape[1]}, {b.shape[1]}",
            )
        a, b = a - self._shift[0], b - self._shift[1]
        for sums, (u, v) in zip(self._sums, ((a, b), (a, a), (b, b)), strict=True):
            sums.add(u, v)
        self.n += len(a)

    def value(self) -> float:
        """CKA; NaN below 4 rows or where one representation does not vary."""
        if self._sums is None or self.n < 4:
            return float("nan")
        xy, xx, yy = (s.hsic(self.n) for s in self._sums)
        return xy / float(np.sqrt(xx * yy)) if xx > 0 and yy > 0 else float("nan")


def debiased_cka(x: ArrayLike, y: ArrayLike) -> float:
    """`DebiasedCKA` of two arrays (n, d_x), (n, d_y).

    Raises
    ------
    InputError
        As `DebiasedCKA.add`.
    """
    sums = DebiasedCKA()
    sums.add(x, y)
    return sums.value()


def biased_cka(x: ArrayLike, y: ArrayLike) -> float:
    r"""Linear CKA of centred data: :math:`\|Y^T X\|_F^2 / (\|X^T X\|_F \|Y^T Y\|_F)`.

    For independent noise it is far from 0 (about d/n each): compare with `debiased_cka` (Kornblith et al.
    2019).

    Raises
    ------
    InputError
        Not finite, not matrices, or of different numbers of rows.
    """
    a, b = _pair(x, y)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    below = float(np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    return float(np.linalg.norm(b.T @ a)) ** 2 / below if below > 0 else float("nan")


def procrustes_distance(x: ArrayLike, y: ArrayLike) -> float:
    r"""Squared distance after the best rotation, of centred data of norm 1.

    .. math:: \|X\|_F^2 + \|Y\|_F^2 - 2 \|X^T Y\|_* \in [0, 2]

    (Schoenemann 1966; Ding, Denain and Steinhardt 2021, eq. 3.) NaN where one does not vary.

    Raises
    ------
    InputError
        Not finite, not matrices, or of different numbers of rows.
    """
    a, b = _pair(x, y)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    na, nb = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if na == 0.0 or nb == 0.0:
        return float("nan")
    nuclear = float(np.linalg.svd(a.T @ b / (na * nb), compute_uv=False).sum())
    return max(0.0, 2 - 2 * nuclear)


def mutual_neighbours(x: ArrayLike, y: ArrayLike, k: int = 10, block: int = 1024) -> float:
    r"""Share of the k nearest neighbours that both representations agree on; k/(n - 1) by chance.

    (Huh et al. 2024, section 3: mutual k-nearest-neighbour alignment, Euclidean here.)

    Raises
    ------
    InputError
        As `procrustes_distance`; no more than k rows.
    """
    a, b = _pair(x, y)
    if len(a) <= k:
        raise InputError("too few rows", expected=f"more than {k}", got=str(len(a)))

    def nearest(z: Array, start: int) -> NDArray[np.intp]:
        rows = z[start : start + block]
        d2 = (z * z).sum(axis=1) - 2 * rows @ z.T
        d2[np.arange(len(rows)), start + np.arange(len(rows))] = np.inf
        return np.argpartition(d2, k - 1, axis=1)[:, :k]

    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    shared = 0
    for start in range(0, len(a), block):
        shared += sum(
            len(np.intersect1d(u, v)) for u, v in zip(nearest(a, start), nearest(b, start), strict=True)
        )
    return shared / (k * len(a))
