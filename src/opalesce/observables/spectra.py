"""Singular values of a weight matrix, and what random-matrix theory says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite, largest
from opalesce.observables.registry import observable
from opalesce.theory.random_matrix import TRACY_WIDOM_99, marchenko_pastur_median, tracy_widom_edge


@dataclass(frozen=True)
class Spectrum:
    """View `singular_values`.

    Attributes
    ----------
    values : array, shape (min(shape),)
        Singular values, largest first.
    shape : (rows, columns)
        Shape of the matrix they come from.
    floor : float
        Values below it are not resolved by the method that computed them.
    """

    values: NDArray[np.float64]
    shape: tuple[int, int]
    floor: float = 0.0

    def __post_init__(self) -> None:
        finite(self.values, "the spectrum", ndim=1)
        if self.values.size != min(self.shape):
            raise InputError(
                "a spectrum does not belong to its shape",
                expected=f"{min(self.shape)} singular values for shape {self.shape}",
                got=str(self.values.size),
            )


def spectrum(w: ArrayLike, method: Literal["gram", "svd"] = "gram", block: int = 4096) -> Spectrum:
    r"""Singular values of a matrix, in float64.

    `gram` sums :math:`W^T W` over blocks of rows on the smaller side and takes its eigenvalues: no
    float64 copy of W is made, and it is several times faster. Squares are accurate to about
    :math:`M \epsilon s_1^2`, so values below :math:`s_1 \sqrt{M \epsilon}` (about 1e-7 of the largest
    at M = 64) are noise; they are set to 0 and the limit is kept in `floor`. `svd` resolves down to
    about :math:`M \epsilon s_1`.

    Parameters
    ----------
    w : array, shape (N, M)
        Real matrix of any floating type.
    method : {"gram", "svd"}
        Use "svd" where small singular values matter (ranks, condition numbers).
    block : int
        Rows per block.

    Raises
    ------
    InputError
        Empty, non-finite or not a matrix; unknown method.
    """
    a = finite(w, "the weight", ndim=2)
    shape = (int(a.shape[0]), int(a.shape[1]))
    tall = a if shape[0] >= shape[1] else a.T
    side, eps = tall.shape[1], float(np.finfo(np.float64).eps)
    top = largest(a) or 1.0  # scaling keeps squares of tiny or huge weights in range
    if method == "svd":
        s = np.asarray(top * np.linalg.svd(a.astype(np.float64) / top, compute_uv=False), np.float64)
        return Spectrum(s, shape, float(side * eps * s[0]))
    if method != "gram":
        raise InputError("unknown method", expected="'gram' or 'svd'", got=repr(method))
    gram = np.zeros((side, side))
    for start in range(0, tall.shape[0], block):
        rows = tall[start : start + block].astype(np.float64) / top
        gram += rows.T @ rows
    return of_gram(np.linalg.eigvalsh(gram), shape, top)


def of_gram(eigenvalues: NDArray[np.floating], shape: tuple[int, int], unit: float = 1.0) -> Spectrum:
    """Spectrum from the eigenvalues, ascending, of the Gram matrix of W / unit; what is not resolved is 0."""
    squares, noise = eigenvalues[::-1], min(shape) * float(np.finfo(np.float64).eps)
    s = unit * np.sqrt(np.where(squares > noise * squares[0], squares, 0.0))
    return Spectrum(s, shape, float(np.sqrt(noise) * s[0]))


def _shares(s: Spectrum, power: float = 2.0) -> NDArray[np.float64] | None:
    """s^power / sum, without overflow; None for a zero matrix."""
    if s.values[0] == 0.0:
        return None
    p = (s.values / s.values[0]) ** power
    return np.asarray(p / p.sum())


@observable(
    on="singular_values",
    unit="weight",
    symmetries={"homogeneous", "rotation", "permutation", "sign", "transpose"},
    null="marchenko_pastur",
    source="golub2013matrix, eq. 2.3.7",
)
def spectral_norm(s: Spectrum) -> float:
    r"""Largest singular value.

    .. math:: \|W\|_2 = s_1

    In the units of the weights. Null: :math:`\sigma(\sqrt N + \sqrt M)` for independent entries of
    standard deviation sigma.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    return float(s.values[0])


@observable(
    on="singular_values",
    unit="1",
    symmetries={"scale", "rotation", "permutation", "sign", "transpose"},
    null="marchenko_pastur",
    source="rudelson2007sampling, section 1 (numerical rank)",
)
def stable_rank(s: Spectrum) -> float:
    r"""Stable rank.

    .. math:: \|W\|_F^2 / \|W\|_2^2 = \sum_i s_i^2 / s_1^2

    Between 1 and min(N, M). Null: :math:`M / (1 + \sqrt{M/N})^2` for independent entries (M the
    smaller side). NaN for a zero matrix. It also falls in a twin with nothing to learn (decaying
    bulk, growing head): judge the excess, not the fall.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    p = _shares(s)
    return float("nan") if p is None else float(1.0 / p[0])


@observable(
    on="singular_values",
    unit="1",
    symmetries={"scale", "rotation", "permutation", "sign", "transpose"},
    null="marchenko_pastur",
    source="gao2017theory, eq. 5 (participation ratio)",
)
def participation_ratio(s: Spectrum) -> float:
    r"""Participation ratio of the squared singular values.

    .. math:: \Big(\sum_i s_i^2\Big)^2 / \sum_i s_i^4

    Between 1 and min(N, M). Null: N M / (N + M) for independent entries. NaN for a zero matrix. The
    matrix is not centred: a common mean counts as one strong direction.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    p = _shares(s)
    return float("nan") if p is None else float(1.0 / (p @ p))


@observable(
    on="singular_values",
    unit="1",
    symmetries={"scale", "rotation", "permutation", "sign", "transpose"},
    null="marchenko_pastur",
    source="roy2007effective, eq. 2",
)
def entropy_effective_rank(s: Spectrum, power: float = 2.0) -> float:
    r"""Exponential of the entropy of the spectrum.

    .. math:: \exp\Big(-\sum_i p_i \ln p_i\Big), \quad p_i = s_i^{q} / \sum_j s_j^{q}

    Between 1 and min(N, M). The default q = 2 takes shares of variance; q = 1 is the form of Roy and
    Vetterli. The two are different numbers. Null at q = 2: about M exp(-M / 2N) (Page). NaN for a
    zero matrix.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    p = _shares(s, power)
    if p is None:
        return float("nan")
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


@observable(
    on="singular_values",
    unit="count",
    symmetries={"scale", "rotation", "permutation", "sign", "transpose"},
    null="marchenko_pastur",
    source="johnstone2001distribution, theorem 1.1",
)
def mp_outliers(s: Spectrum, quantile: float = TRACY_WIDOM_99) -> float:
    r"""Number of singular values above the edge of noise.

    Counts :math:`s_i^2 / (N\hat\sigma^2) > \mu + q\, s_{TW}` with the Tracy-Widom centre and scale of
    `tracy_widom_edge`, q its 99 % point, and the noise level from the median,
    :math:`N\hat\sigma^2 = \mathrm{median}(s_i^2) / m_c`, m_c the Marchenko-Pastur median (Gavish and
    Donoho 2014), which outliers hardly move. A count; null: 0, exceeded in 1 % of pure noise matrices.
    NaN when the short side is below 8 or the median vanishes: there is then no bulk to compare with.
    Entries of unequal variance or heavy tails also make outliers; shuffle the entries to see.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    long, short = max(s.shape), min(s.shape)
    if short < 8 or s.values[0] == 0.0:
        return float("nan")
    squares = (s.values / s.values[0]) ** 2
    level = float(np.median(squares)) / marchenko_pastur_median(short / long)
    if level == 0.0:
        return float("nan")
    mu, scale = tracy_widom_edge(long, short)
    return float((squares > level * (mu + quantile * scale)).sum())
