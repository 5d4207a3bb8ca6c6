"""The change scan: log-likelihood gains of a sharp change over smooth, and of smooth over constant.

Models of one witness y (n values at u), noise as in `noise`:

    M0: y = const,   M1: y in S,   M2: y = M1 + h * logistic(u; c, w)

Everything works on *error contrasts*: z = A'y, with A an orthonormal basis of what M1 cannot
express. The likelihood of z is the restricted likelihood (Patterson & Thompson 1971), and it does
not change when any member of S is added to y: the test's false-alarm rate is the same for every
smooth curve. Scale is profiled out, so with nu contrasts and whitened residual sum r

    l1(theta)       = -1/2 log|A'R A| - nu/2 log r
    l2(theta, c, w) = -1/2 log|A'R A| - nu/2 log(r - gain),   T = 2 (max l2 - max l1).

The correlation is estimated under both models, which makes T nearly pivotal.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from opalesce.errors import InputError
from opalesce.transitions.noise import Noise, covariance, grid, spacing
from opalesce.transitions.smooth import logistic, orthonormal, spline

Array = NDArray[np.float64]
MIN_POINTS = 12


@dataclass(frozen=True)
class ChangeFit:
    """Best sharp change in one series.

    place, width in u; height h in units of y, with its standard error at fixed (c, w, noise);
    `sharp` and `smooth` are T of M2 over M1 and of M1 over M0; sigma is the marginal noise sd.
    """

    place: float
    width: float
    height: float
    height_se: float
    sharp: float
    smooth: float
    sigma: float
    noise: int


@dataclass(frozen=True)
class Whitened:
    """Contrasts whitened under one noise model, and the candidates in them."""

    logdet: float
    contrast: Array  # (nu, n)
    unit: Array  # (candidates, nu), unit rows
    norm: Array  # (candidates,)
    root: Array  # (n, n) Cholesky factor of Sigma / s^2
    logdet0: float
    contrast0: Array  # (n - 1, n)
    smooth0: Array  # (k - 1, n - 1), orthonormal rows


class Design:
    """All that depends on where one looks, and not on what one sees.

    Parameters
    ----------
    u : array, shape (n,)
        Strictly increasing axis coordinates.
    wstar : float
        Resolution W* of "sharp", in u.
    stderr : array, shape (n,), optional
        Stated standard errors (only ratios are used).
    extra : array, shape (n, e), optional
        Further columns of the null, such as known events.
    places, widths : arrays, optional
        Candidates; by default all points and midpoints, and widths from a twentieth of a spacing
        to W*/2 in octaves.
    clock : array, shape (n,), optional
        Raw axis values where they are not u: noise may be correlated along them instead.

    Raises
    ------
    InputError
        When u is not increasing, or fewer than four contrasts remain.
    """

    def __init__(
        self,
        u: Array,
        wstar: float,
        stderr: Array | None = None,
        extra: Array | None = None,
        places: Array | None = None,
        widths: Array | None = None,
        clock: Array | None = None,
    ) -> None:
        u = np.asarray(u, float)
        if u.ndim != 1 or len(u) < MIN_POINTS:
            raise InputError(
                "too few points for a verdict",
                expected=f"at least {MIN_POINTS}",
                got=str(u.size),
                fix="add checkpoints, or log more often",
            )
        if not np.all(np.diff(u) > 0):
            raise InputError("the axis must be strictly increasing", got="repeated or unsorted places")
        self.u, self.wstar, self.spacing = u, float(wstar), spacing(u)
        self.stderr = None if stderr is None else np.asarray(stderr, float)
        self.clock = None if clock is None else np.asarray(clock, float)
        self.noises = grid(self.stderr is not None, self.clock is not None)
        null = spline(u, wstar)
        if extra is not None and extra.shape[1]:
            null = np.column_stack([null, extra])
        self.null = orthonormal(null)
        full, _ = np.linalg.qr(self.null, mode="complete")
        self.basis = full[:, self.null.shape[1] :]
        self.nu = self.basis.shape[1]
        if self.nu < 4:
            raise InputError(
                "too few points for the smooth class on this axis",
                expected=f"at least {self.null.shape[1] + 4} points",
                got=str(len(u)),
                fix="add checkpoints",
            )
        self.places = self.default_places() if places is None else np.unique(places)
        self.widths = self.default_widths() if widths is None else np.unique(widths)
        self.models = tuple(self._whiten(noise) for noise in self.noises)

    def recandidate(self, places: Array, widths: Array, keep: Sequence[int] | None = None) -> Design:
        """The same data and null with other candidates, and only the noise models in `keep`."""
        other = copy(self)
        other.__dict__.pop("candidates", None)
        other.places, other.widths = np.unique(places), np.unique(widths)
        if keep is not None:
            other.noises = tuple(self.noises[j] for j in keep)
        other.models = tuple(other._whiten(noise) for noise in other.noises)
        return other

    def default_places(self) -> Array:
        """Every point but the two at each end, and the midpoints between."""
        u = self.u
        inner = np.concatenate([u[2:-2], (u[2:-1] + u[1:-2]) / 2])
        return np.unique(inner)

    def default_widths(self) -> Array:
        """Octaves of the spacing from a step to W*/2."""
        top = self.wstar / 2
        inside = [self.spacing * 2.0**k for k in range(20) if self.spacing * 2.0**k < 0.8 * top]
        return np.unique([min(0.05 * self.spacing, top), *inside, top])

    @cached_property
    def candidates(self) -> tuple[Array, Array]:
        """(place, width) of each candidate, place-major; shapes (P * W,)."""
        p, w = np.meshgrid(self.places, self.widths, indexing="ij")
        return p.ravel(), w.ravel()

    def _whiten(self, noise: Noise) -> Whitened:
        sigma = covariance(self.u, noise, self.stderr, self.clock)
        logdet, contrast = _contrast(self.basis, sigma)
        n = len(self.u)
        centred, _ = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, : n - 1]]))
        logdet0, contrast0 = _contrast(centred[:, 1:], sigma)
        place, width = self.candidates
        shapes = contrast @ logistic(self.u[:, None], place, width)
        norm = np.sqrt((shapes**2).sum(0))
        usable = norm > 1e-6
        unit = np.where(usable, shapes / np.where(usable, norm, 1.0), 0.0)
        return Whitened(
            logdet,
            contrast,
            np.ascontiguousarray(unit.T),
            norm,
            np.asarray(np.linalg.cholesky(sigma), float),
            logdet0,
            contrast0,
            orthonormal(contrast0 @ self.null).T,
        )

    def statistics(self, y: Array) -> tuple[Array, Array]:
        """(T of M2 over M1, T of M1 over M0) for series y of shape (n, b); each of shape (b,)."""
        sharp1, sharp2, smooth0, smooth1 = [], [], [], []
        for m in self.models:
            z = m.contrast @ y
            r = (z**2).sum(0)
            gain = (np.square(m.unit @ z)).max(0)
            sharp1.append(-0.5 * m.logdet - 0.5 * self.nu * _log(r))
            sharp2.append(-0.5 * m.logdet - 0.5 * self.nu * _log(r - gain))
            z0 = m.contrast0 @ y
            r0 = (z0**2).sum(0)
            smooth0.append(-0.5 * m.logdet0 - 0.5 * len(z0) * _log(r0))
            smooth1.append(-0.5 * m.logdet0 - 0.5 * len(z0) * _log(r0 - np.square(m.smooth0 @ z0).sum(0)))
        gap = np.max(sharp2, 0) - np.max(sharp1, 0)
        gap0 = np.max(smooth1, 0) - np.max(smooth0, 0)
        return 2.0 * gap, 2.0 * gap0

    def best(self, y: Array, rows: NDArray[np.intp] | None = None) -> tuple[Array, NDArray[np.intp]]:
        """max l2 over noise and candidates (those in `rows`), and where; shapes (b,), (b,)."""
        top = np.full(y.shape[1], -np.inf)
        where = np.zeros(y.shape[1], dtype=np.intp)
        for m in self.models:
            z = m.contrast @ y
            gain = np.square((m.unit if rows is None else m.unit[rows]) @ z)
            k = gain.argmax(0)
            value = -0.5 * m.logdet - 0.5 * self.nu * _log((z**2).sum(0) - gain[k, np.arange(y.shape[1])])
            where = np.where(value > top, k if rows is None else rows[k], where)
            top = np.maximum(top, value)
        return top, where

    def profile(self, y: Array) -> Array:
        """max over noise of l2 for one series y (n,), by place and width; shape (P, W)."""
        values = np.max([self.loglik(m, y[:, None])[:, 0] for m in self.models], axis=0)
        return np.asarray(values.reshape(len(self.places), len(self.widths)))

    def loglik(self, m: Whitened, y: Array) -> Array:
        """l2 of every candidate under one noise model; shape (candidates, b)."""
        z = m.contrast @ y
        r = (z**2).sum(0)
        return np.asarray(-0.5 * m.logdet - 0.5 * self.nu * _log(r - np.square(m.unit @ z)))

    def fit(self, y: Array) -> ChangeFit:
        """The best sharp change in one series y of shape (n,)."""
        column = np.asarray(y, float)[:, None]
        values = np.array([self.loglik(m, column)[:, 0] for m in self.models])
        noise, k = np.unravel_index(int(np.argmax(values)), values.shape)
        sharp, smooth = self.statistics(column)
        height, se, sigma = self.height(column[:, 0], int(noise), int(k))
        place, width = self.candidates
        return ChangeFit(
            float(place[k]), float(width[k]), height, se, float(sharp[0]), float(smooth[0]), sigma, int(noise)
        )

    def height(self, y: Array, noise: int, candidate: int) -> tuple[float, float, float]:
        """Generalised-least-squares height, its standard error, and the noise sd s."""
        m = self.models[noise]
        z = m.contrast @ y
        score = float(m.unit[candidate] @ z)
        sigma = float(np.sqrt(max(float(z @ z) - score**2, 0.0) / (self.nu - 1)))
        norm = float(m.norm[candidate])
        return score / norm, sigma / norm, sigma

    def curve(self, y: Array, fit: ChangeFit) -> Array:
        """Generalised-least-squares fit of M2 at the fitted place, width and noise; shape (n,)."""
        root = self.models[fit.noise].root
        x = np.column_stack([self.null, logistic(self.u, fit.place, fit.width)])
        beta = np.linalg.lstsq(
            solve_triangular(root, x, lower=True), solve_triangular(root, y, lower=True), rcond=None
        )[0]
        return np.asarray(x @ beta)

    def height_at(self, y: Array, fit: ChangeFit) -> float:
        """Height of another series at a fitted place, width and noise."""
        m = self.models[fit.noise]
        shape = m.contrast @ logistic(self.u, fit.place, fit.width)
        return float(shape @ (m.contrast @ y) / (shape @ shape))

    def smooth_range(self, y: Array, noise: int) -> float:
        """Range of the generalised-least-squares fit of M1: how far the smooth part goes."""
        root = self.models[noise].root
        beta = np.linalg.lstsq(
            solve_triangular(root, self.null, lower=True), solve_triangular(root, y, lower=True), rcond=None
        )[0]
        return float(np.ptp(self.null @ beta))

    def innovations(self, y: Array, fit: ChangeFit) -> Array:
        """Residual of M2, whitened by the fitted noise; shape (n,)."""
        residual = np.asarray(y, float) - self.curve(y, fit)
        return np.asarray(solve_triangular(self.models[fit.noise].root, residual, lower=True))


def _contrast(basis: Array, sigma: Array) -> tuple[float, Array]:
    """log|A'RA| and the map from y to whitened contrasts."""
    root = np.linalg.cholesky(basis.T @ sigma @ basis)
    return 2.0 * float(np.log(np.diag(root)).sum()), solve_triangular(root, basis.T, lower=True)


def _log(r: Array) -> Array:
    return np.log(np.maximum(r, 1e-300))
