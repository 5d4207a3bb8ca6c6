r"""Order parameters of the residual stream, after "Latent Object Permanence" (Alpay and Kilictas 2026).

Omega is the source's; **all else here is a reconstruction** (the source could be read in abstract only): its
susceptibility, Binder cumulant, and the statistics of the covariance. Controls are functions: a change that
survives a random rotation is not sparsity, and one that goes with the massive coordinates is theirs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.corrected import participation_ratio_corrected
from opalesce.observables.inputs import finite
from opalesce.observables.moments import Moments
from opalesce.observables.registry import observable
from opalesce.theory.random_matrix import (
    TRACY_WIDOM_99,
    marchenko_pastur_cdf,
    marchenko_pastur_median,
    tracy_widom_edge,
)

Array = NDArray[np.float64]
TURNS = frozenset({"scale", "rotation", "token_permutation"})
CHANNELS = frozenset({"scale", "token_permutation", "channel_permutation"})


def mask_massive(h: ArrayLike, ratio: float = 100.0) -> tuple[Array, NDArray[np.intp]]:
    """Coordinates without those that are massive in any token, and the numbers of the dropped ones.

    Massive: some |h| above `ratio` medians of |h| over the whole state. Whole coordinates are dropped, for
    every token, so that all tokens keep the same space.

    Raises
    ------
    InputError
        Empty or not finite, or nothing would be left.
    """
    x = np.asarray(finite(h, "the activations", ndim=2), np.float64)
    size = np.abs(x)
    bad = (size > ratio * float(np.median(size))).any(axis=0)
    if bad.all():
        raise InputError("every coordinate is massive", expected=f"some below {ratio:g} medians")
    return x[:, ~bad], np.flatnonzero(bad)


def rotated(h: ArrayLike, rng: np.random.Generator) -> Array:
    """The same cloud in a Haar-random basis: sparsity goes, covariance spectra stay.

    Raises
    ------
    InputError
        Empty or not finite.
    """
    x = np.asarray(finite(h, "the activations", ndim=2), np.float64)
    q, r = np.linalg.qr(rng.standard_normal((x.shape[1], x.shape[1])))
    return np.asarray(x @ (q * np.sign(np.diag(r))))


@observable(
    on="moments",
    unit="1",
    symmetries=CHANNELS,
    null="isotropic_normal",
    source="alpay2026latent, abstract (Object Integrity)",
    lineage="activations",
)
def object_integrity(m: Moments) -> float:
    r"""Object integrity: mean over tokens of a scale-free sparsity.

    .. math:: \bar\Omega = \Big\langle 1 - \frac{\|h\|_1}{\sqrt d \|h\|_2} \Big\rangle

    Null: :math:`1 - \sqrt{2/\pi}` = 0.2021 for normal coordinates, whatever their number, with a standard
    deviation of 0.2123/sqrt(d) over tokens. Depends on the basis. One massive activation raises it alone
    (`theory.integrity.one_massive`). NaN below two tokens.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    return m.central()[0]


@observable(
    on="moments",
    unit="1",
    symmetries=CHANNELS,
    null="isotropic_normal",
    source="alpay2026latent, abstract; susceptibility is a reconstruction",
    lineage="activations",
)
def integrity_susceptibility(m: Moments) -> float:
    r"""Susceptibility of object integrity (reconstruction).

    .. math:: \chi = d\, \mathrm{Var}_{tokens}(\Omega)

    Null: :math:`1 - 3/\pi` = 0.0451 for normal coordinates.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    return m.width * m.central()[1]


@observable(
    on="moments",
    unit="1",
    symmetries=CHANNELS,
    null="isotropic_normal",
    source="alpay2026latent, abstract; cumulant after binder1981finite, eq. 5 (reconstruction)",
    lineage="activations",
)
def integrity_binder(m: Moments) -> float:
    r"""Binder cumulant of object integrity about its Gaussian value (reconstruction).

    .. math:: U = 1 - \frac{\langle x^4 \rangle}{3 \langle x^2 \rangle^2}, \quad x = \Omega - \Omega_0

    Null: near 0 (x is close to normal about 0); 2/3 when all tokens have one Omega that is not the null's.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    return 1 - m.central()[2]


@observable(
    on="moments",
    unit="1",
    symmetries=TURNS,
    null="isotropic_normal",
    source="roy2007effective, eq. 2 (of the covariance)",
    lineage="activations",
)
def residual_effective_rank(m: Moments) -> float:
    r"""Entropy effective rank of the covariance: the "effective dimensionality" of the source.

    .. math:: \exp\Big(-\sum_i p_i \ln p_i\Big), \quad p_i = \lambda_i / \sum_j \lambda_j

    Null: about :math:`d\,e^{-d/2n}` for n isotropic tokens (Page 1993): too few tokens lower it. NaN where
    nothing varies.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    lam = m.eigenvalues
    if m.n < 2 or lam[0] == 0.0:
        return float("nan")
    p = lam[lam > 0] / lam.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


@observable(
    on="moments",
    unit="1",
    symmetries=TURNS,
    null="isotropic_normal",
    source="gao2017theory, eq. 5; correction by the unbiased traces of a Wishart matrix",
    lineage="activations",
)
def residual_participation_ratio(m: Moments) -> float:
    r"""Participation ratio of the covariance, corrected for the number of tokens.

    .. math::

        \mathrm{PR} = \frac{u_1}{u_2}, \quad
        u_2 = \frac{\nu^2}{(\nu-1)(\nu+2)} \Big(t_2 - \frac{t_1^2}{\nu}\Big), \quad u_1 = t_1^2 - \frac{2
        u_2}{\nu}

    t_1 = tr S, t_2 = tr S^2, nu = n - 1: u_1 and u_2 are unbiased for normal data. Null: d. NaN below 4
    tokens, or where the correction leaves nothing (u_2 at or below 0).

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    nu, top = m.n - 1, float(np.abs(m.scatter).max())
    if nu < 3 or top == 0.0:
        return float("nan")
    s = m.scatter / top / nu
    return participation_ratio_corrected(float(np.trace(s)), float((s * s).sum()), m.n)


@observable(
    on="moments",
    unit="1",
    symmetries=TURNS,
    null="isotropic_normal",
    source="rudelson2007sampling, section 1 (of the covariance)",
    lineage="activations",
)
def residual_stable_rank(m: Moments) -> float:
    r"""Stable rank of the covariance.

    .. math:: \sum_i \lambda_i / \lambda_1

    Null: :math:`d/(1 + \sqrt{d/n})^2` for n isotropic tokens. NaN where nothing varies.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    lam = m.eigenvalues
    return float(lam.sum() / lam[0]) if lam[0] > 0 else float("nan")


@observable(
    on="moments",
    unit="1",
    symmetries=TURNS,
    null="isotropic_normal",
    source="alpay2026latent, abstract (spectral tail collapse); share of the tail is a reconstruction",
    lineage="activations",
)
def tail_fraction(m: Moments, head: float = 0.1) -> float:
    r"""Share of variance outside the first tenth of directions (reconstruction).

    .. math:: \sum_{i > k} \lambda_i / \sum_i \lambda_i, \quad k = \lceil 0.1\, d \rceil

    Null: 0.9 for isotropic data with n much larger than d. Falls when the spectrum collapses. NaN where
    nothing varies.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    lam = m.eigenvalues
    k = int(np.ceil(head * lam.size))
    return float(lam[k:].sum() / lam.sum()) if lam[0] > 0 and k < lam.size else float("nan")


@observable(
    on="moments",
    unit="1",
    symmetries=TURNS,
    null="isotropic_normal",
    source="alpay2026latent, abstract (spectral tail); slope is a reconstruction",
    lineage="activations",
)
def tail_slope(m: Moments) -> float:
    r"""Slope of ln eigenvalue against ln rank over the second quarter of ranks (reconstruction).

    .. math:: \mathrm{slope\ of\ } \ln\lambda_i \mathrm{\ on\ } \ln i, \quad d/4 \le i \le d/2

    Null: near 0 for isotropic data with n much larger than d. NaN below 16 coordinates, or where an
    eigenvalue of the window vanishes.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    lam, d = m.eigenvalues, m.width
    i = np.arange(max(d // 4, 1), d // 2 + 1)
    if d < 16 or m.n <= d // 2 or lam[i[-1] - 1] <= 1e-14 * lam[0]:
        return float("nan")
    return float(np.polyfit(np.log(i), np.log(lam[i - 1]), 1)[0])


def _level(m: Moments) -> tuple[Array, float, float] | None:
    """Eigenvalues over the noise level of their median, the ratio c of their law, and the share that is 0."""
    c = m.width / max(m.n - 1, 1)
    lam = m.eigenvalues if c <= 1 else m.eigenvalues[: m.n - 1]
    if min(m.n - 1, m.width) < 8 or lam[0] == 0.0:
        return None
    small = min(c, 1 / c)
    scale = marchenko_pastur_median(small) * (1.0 if c <= 1 else c)
    level = float(np.median(lam)) / scale
    return (lam / level, c, level) if level > 0 else None


@observable(
    on="moments",
    unit="count",
    symmetries=TURNS,
    null="isotropic_normal",
    source="johnstone2001distribution, theorem 1.1 (of the covariance)",
    lineage="activations",
)
def residual_outliers(m: Moments) -> float:
    r"""Directions of the covariance above the edge of noise.

    .. math:: \#\{\lambda_i > \hat\sigma^2 (\mu + 2.02\, s_{TW})\}

    mu and s as in `theory.random_matrix.tracy_widom_edge` for n - 1 tokens and d coordinates, the level from
    the median eigenvalue. Null: 0, exceeded in 1 % of isotropic clouds. Tokens of one text are not
    independent, which raises it. NaN below 8 tokens or coordinates.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    found = _level(m)
    if found is None:
        return float("nan")
    lam, c, _ = found
    long, short = max(m.n - 1, m.width), min(m.n - 1, m.width)
    mu, s = tracy_widom_edge(long, short)
    scale = 1.0 if c <= 1 else c  # the edge is stated for entries of variance 1/long
    return float((lam > scale * (mu + TRACY_WIDOM_99 * s)).sum())


@observable(
    on="moments",
    unit="1",
    symmetries=TURNS,
    null="isotropic_normal",
    source="marchenko1967distribution, eq. 1.13 (distance of the covariance spectrum)",
    lineage="activations",
)
def marchenko_pastur_distance(m: Moments) -> float:
    r"""Largest gap between the spectrum of the covariance and the Marchenko-Pastur law of its median.

    .. math:: \sup_x |F_{\hat\lambda}(x) - F_{MP}(x)|

    Null: of the order 1/d. NaN below 8 tokens or coordinates.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    found = _level(m)
    if found is None:
        return float("nan")
    lam, c, _ = found
    x = np.sort(lam)
    law = marchenko_pastur_cdf(x / (1.0 if c <= 1 else c), min(c, 1 / c))
    above = np.arange(1, x.size + 1) / x.size
    return float(np.maximum(np.abs(above - law), np.abs(above - 1 / x.size - law)).max())


@observable(
    on="moments",
    unit="1",
    symmetries=TURNS,
    null="isotropic_normal",
    source="alpay2026latent, abstract (spectral gaps); largest log gap is a reconstruction",
    lineage="activations",
)
def spectral_gap(m: Moments, head: int = 10) -> float:
    r"""Largest gap among the first eigenvalues of the covariance (reconstruction).

    .. math:: \max_{i \le 10} \ln(\lambda_i / \lambda_{i+1})

    Null: near 0 for isotropic data. NaN below two positive eigenvalues.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    lam = m.eigenvalues[: head + 1]
    lam = lam[lam > 1e-14 * max(float(lam[0]), 1e-300)]
    return float(np.log(lam[:-1] / lam[1:]).max()) if lam.size > 1 else float("nan")


@observable(
    on="moments",
    unit="1",
    symmetries=TURNS,
    null="isotropic_normal",
    source="mu2018allbutthetop, section 2.1 (share of the common mean)",
    lineage="activations",
)
def mean_share(m: Moments) -> float:
    r"""Share of the mean squared length that the common mean carries.

    .. math:: |\bar h|^2 / \langle |h|^2 \rangle

    Null: 1/n for centred data. It is what drives statistics of the uncentred second moment. NaN for zeros.

    Raises
    ------
    InputError
        From `Moments.of`.
    """
    top = float(max(np.abs(m.mean).max(), np.sqrt(np.abs(np.diag(m.scatter)).max() / m.n)))
    if top == 0.0:
        return float("nan")
    mean = float(((m.mean / top) ** 2).sum())
    return mean / (mean + float(np.trace(m.scatter / top**2)) / m.n)
