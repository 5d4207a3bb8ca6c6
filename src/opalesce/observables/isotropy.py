r"""How evenly a cloud of representations fills its space: RankMe, alpha-ReQ, cosines, massive activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable

Array = NDArray[np.float64]


def _cloud(x: ArrayLike) -> Array:
    return np.asarray(finite(x, "the activations", ndim=2), np.float64)


@observable(
    on="activations",
    unit="1",
    symmetries={"scale", "rotation", "token_permutation"},
    null="isotropic_normal",
    source="garrido2023rankme, eq. 3",
    lineage="activations",
)
def rankme(points: ArrayLike) -> float:
    r"""RankMe: entropy rank of the singular values of the uncentred matrix.

    .. math:: \exp\Big(-\sum_i p_i \ln p_i\Big), \quad p_i = s_i / \sum_j s_j + 10^{-7}

    Between 1 and min(n, d). Not the entropy rank of the covariance (q = 1 here, and no centring). Null: 0.805
    min(n, d) at n = d for normal entries (824 at 1024), near d for n much larger than d. NaN for zeros.

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    x = _cloud(points)
    s = np.linalg.svd(x, compute_uv=False)
    if s[0] == 0.0:
        return float("nan")
    p = s / s.sum() + 1e-7
    return float(np.exp(-(p * np.log(p)).sum()))


@observable(
    on="activations",
    unit="1",
    symmetries={"scale", "rotation", "token_permutation"},
    null="isotropic_normal",
    source="agrawal2022alphareq, section 3",
    lineage="activations",
)
def alpha_req(points: ArrayLike) -> float:
    r"""Decay exponent of the covariance spectrum, ranks 10 to d/2.

    .. math:: \lambda_j \sim j^{-\alpha}, \quad \alpha = -\mathrm{slope\ of\ } \ln\lambda_j
        \mathrm{\ on\ } \ln j, \; 10 \le j \le d/2

    Near 0 for isotropic data with n much larger than d, near 1 for good representations by the source. The
    window is a choice (middle ranks); NaN where it holds fewer than 5 ranks or a zero eigenvalue.

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    x = _cloud(points)
    x = x - x.mean(axis=0)
    top = float(np.abs(x).max())
    if top == 0.0:
        return float("nan")
    lam = np.linalg.svd(x / top, compute_uv=False) ** 2
    j = np.arange(10, x.shape[1] // 2 + 1)
    j = j[j <= len(lam)]
    if j.size < 5 or lam[j[-1] - 1] <= 1e-20 * lam[0]:
        return float("nan")
    return float(-np.polyfit(np.log(j), np.log(lam[j - 1]), 1)[0])


def mean_cosine(x: Array) -> float:
    """Mean cosine of all pairs of rows, exactly: (|sum u|^2 - n)/(n (n - 1)); zero rows are left out."""
    length = np.linalg.norm(x, axis=1)
    u = x[length > 0] / length[length > 0, None]
    n = len(u)
    total = u.sum(axis=0)
    return float((total @ total - n) / (n * (n - 1))) if n > 1 else float("nan")


@observable(
    on="activations",
    unit="1",
    symmetries={"scale", "rotation", "token_permutation"},
    null="isotropic_normal",
    source="ethayarajh2019contextual, section 3.3",
    lineage="activations",
)
def anisotropy(points: ArrayLike) -> float:
    r"""Mean cosine of random pairs of representations.

    .. math:: \langle \cos(h_s, h_t) \rangle_{s \ne t} = \frac{|\sum_t u_t|^2 - n}{n(n-1)}, \quad u = h/|h|

    Exact, in one pass. 0 for isotropic data (standard deviation :math:`\sqrt{2/d}/n`), towards 1 in a narrow
    cone. A common mean or one massive coordinate makes it large by itself: see `anisotropy_centred`.

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    return mean_cosine(_cloud(points))


@observable(
    on="activations",
    unit="1",
    symmetries={"scale", "rotation", "token_permutation"},
    null="isotropic_normal",
    source="mu2018allbutthetop, section 2.1",
    lineage="activations",
)
def anisotropy_centred(points: ArrayLike) -> float:
    r"""Mean cosine of random pairs once their common mean is removed.

    .. math:: \langle \cos(h_s - \bar h, h_t - \bar h) \rangle_{s \ne t}

    About -1/n for any cloud without a cone left, its null being 0.

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    x = _cloud(points)
    return mean_cosine(x - x.mean(axis=0))


@observable(
    on="activations",
    unit="1",
    symmetries={"scale", "token_permutation", "channel_permutation"},
    null="isotropic_normal",
    source="timkey2021bark, section 3",
    lineage="activations",
)
def largest_channel_share(points: ArrayLike) -> float:
    r"""Share of the mean squared length that the largest coordinate carries.

    .. math:: \max_i \langle h_i^2 \rangle / \sum_j \langle h_j^2 \rangle

    About 1/d (times 1 + a few :math:`\sqrt{2/n}`) for isotropic data; towards 1 with a rogue dimension. NaN
    for zeros.

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    x = _cloud(points)
    top = float(np.abs(x).max())
    power = ((x / (top or 1.0)) ** 2).mean(axis=0)
    return float(power.max() / power.sum()) if top > 0 else float("nan")


@dataclass(frozen=True)
class Massive:
    """One massive activation: row (token), column (channel), its value and its ratio to the median |a|."""

    token: int
    channel: int
    value: float
    ratio: float


def massive_activations(points: ArrayLike, above: float = 100.0, ratio: float = 1000.0) -> list[Massive]:
    r"""Massive activations by the definition of Sun et al.: :math:`|a| > 100` and :math:`|a| > 1000` medians.

    The median is that of |a| over the whole state (tokens x channels). Largest first (Sun et al. 2024,
    section 2).

    Parameters
    ----------
    points : array, shape (tokens, channels)
    above, ratio : float
        Both must be exceeded. `above` is in the units of the residual stream and means nothing for a model of
        another scale: pass 0 to judge by the ratio alone.

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    x = _cloud(points)
    size = np.abs(x)
    median = float(np.median(size))
    rows, columns = np.nonzero((size > above) & (size > ratio * median))
    order = np.argsort(-size[rows, columns], kind="stable")
    return [
        Massive(int(i), int(j), float(x[i, j]), float(size[i, j] / median) if median > 0 else float("inf"))
        for i, j in zip(rows[order], columns[order], strict=True)
    ]


@observable(
    on="activations",
    unit="1",
    symmetries={"scale", "token_permutation", "channel_permutation"},
    null="isotropic_normal",
    source="sun2024massive, section 2",
    lineage="activations",
)
def massive_ratio(points: ArrayLike) -> float:
    r"""Largest magnitude over the median magnitude of the state.

    .. math:: \max |a| / \mathrm{median} |a|

    Null: about :math:`\Phi^{-1}(1 - 1/(2 n d))/0.6745` for n d normal entries (6.5 at 80,000); 1,000 is the
    threshold of "massive" in the source. NaN where the median is 0.

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    size = np.abs(_cloud(points))
    median = float(np.median(size))
    return float(size.max() / median) if median > 0 else float("nan")


def partition_isotropy(points: ArrayLike) -> float:
    r"""Isotropy of the partition function: :math:`\min_c Z(c)/\max_c Z(c), \; Z(c) = \sum_t e^{c \cdot h_t}`.

    c runs over the eigenvectors of :math:`H^T H`, both signs; 1 when isotropic (Mu and Viswanath 2018, eq.
    2).

    Raises
    ------
    InputError
        Empty or non-finite.
    """
    x = _cloud(points)
    _, c = np.linalg.eigh(x.T @ x)
    log_z = np.concatenate([np.logaddexp.reduce(s * (x @ c), axis=0) for s in (1, -1)])
    return float(np.exp(log_z.min() - log_z.max()))


def channel_kurtosis(points: ArrayLike) -> Array:
    """Excess kurtosis of each channel over tokens: outlier channels stand out; NaN where one is constant."""
    x = _cloud(points)
    if len(x) < 4:
        raise InputError("too few tokens", expected="4 or more", got=str(len(x)))
    z = x - x.mean(axis=0)
    var = (z**2).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(var > 0, (z**4).mean(axis=0) / var**2 - 3, np.nan)
