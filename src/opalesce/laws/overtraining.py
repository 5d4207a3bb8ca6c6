r"""Loss of over-trained models, and the downstream error that it predicts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.laws.data import numbers
from opalesce.laws.fit import Prediction, check_level
from opalesce.laws.forms import Floats
from opalesce.laws.separable import Separable, separable
from opalesce.laws.spread import interval

H_BOUNDS = (np.array([-2.0]), np.array([-0.01]))  # exponent of N in the loss law
GAMMA_BOUNDS = (np.array([0.01]), np.array([10.0]))
H_STARTS = np.linspace(-1.0, -0.05, 20)[:, None]
GAMMA_STARTS = np.geomspace(0.05, 5.0, 20)[:, None]
HOW = "bootstrap over runs"


@dataclass(frozen=True)
class Overtraining:
    """Loss law and error law of runs.

    Attributes
    ----------
    params : dict of str to float
        E, a, b, eta of the loss law; eps, k, gamma of the error law when there are errors.
    intervals : dict of str to Estimate
        The same, by a bootstrap over runs, and `exponent`, h = -2 eta, that of N in the source's code.
    rmse : dict of str to float
        Root of the mean squared residual of `loss` and of `error`.
    """

    params: dict[str, float]
    intervals: dict[str, Estimate]
    rmse: dict[str, float]
    level: float
    draws: Floats = field(repr=False)

    def predict(self, N: ArrayLike, D: ArrayLike, level: float | None = None) -> dict[str, Prediction]:
        """Loss, and error where there is a law of it, of runs with N parameters and D tokens.

        The bands are those of the resampled laws; the noise of a run is not in them. The error is that of the
        predicted loss.

        Raises
        ------
        InputError
            N or D that is not positive and finite, other lengths, or a level outside (0, 1).
        """
        level = self.level if level is None else level
        check_level(level)
        n, d = _pair(N, D)
        names = list(self.params)
        best = _curves(np.array([[self.params[k] for k in names]]), n, d)
        many = _curves(self.draws, n, d)
        out = {}
        for what, middle in best.items():
            if not len(self.draws):  # no resample, no band
                out[what] = Prediction(middle[0], middle[0] * np.nan, middle[0] * np.nan, level)
                continue
            low, high = np.quantile(many[what], [(1 - level) / 2, (1 + level) / 2], axis=0)
            out[what] = Prediction(middle[0], np.minimum(low, middle[0]), np.maximum(high, middle[0]), level)
        return out


def overtraining(
    N: ArrayLike, D: ArrayLike, loss: ArrayLike, error: ArrayLike | None = None, *,
    loss_runs: ArrayLike | None = None, level: float = 0.9, seed: int = 0, draws: int = 200,
) -> Overtraining:  # fmt: skip
    r"""Loss of compute and tokens per parameter, and top-1 error of loss.

    .. math:: L(C, M) = E + (a\,M^{\eta} + b\,M^{-\eta})\,C^{-\eta},\qquad
              \mathrm{Err}(L) = \epsilon - k\,e^{-\gamma L}

    with C = 6 N D FLOP and M = D / N tokens per parameter. Two plain least-squares fits, in the loss and in
    the error, as in the source's code; the error law is fitted to measured losses, and `predict` gives it
    predicted ones. The code writes the first as :math:`\alpha N^h + \beta\,6^{h/2} (M N)^h + E`, which is the
    same law: :math:`h = -2\eta,\ a = 6^\eta \alpha,\ b = \beta`. Both laws are linear in all but one
    parameter, which is what is searched.

    Parameters
    ----------
    N, D, loss : array_like (n,)
        Parameters, training tokens, validation loss in nats a token.
    error : array_like (n,), optional
        Top-1 error from 0 to 1, mean over tasks; NaN where a run has none.
    loss_runs : array_like of bool (n,), optional
        Runs that the loss law is fitted to (the source leaves its 1.4B run out); all by default.
    level, seed, draws
        Of the bootstrap over runs. A resample of fewer different runs than parameters tells nothing and is
        left out, which the status counts. With few more runs than parameters the intervals are rough.

    Raises
    ------
    InputError
        Columns that are not positive and finite or of other lengths, errors outside 0 to 1, or fewer runs
        than parameters: 4 for the loss, 3 for the error.

    Source: gadre2024language, eqs. 4 and 5, and its code.
    """
    check_level(level)
    n, d = _pair(N, D)
    y = numbers(loss, "loss")
    chosen = np.ones(len(y), bool) if loss_runs is None else np.asarray(loss_runs, bool)
    err = np.full(len(y), np.nan) if error is None else np.asarray(error, float)
    if not len(n) == len(y) == len(chosen) == len(err):
        got = f"{len(n)}, {len(y)}, {len(chosen)}, {len(err)}"
        raise InputError("columns of different lengths", expected="one length", got=got)
    known = np.isfinite(err)
    if ((err[known] < 0) | (err[known] > 1)).any():
        raise InputError("a top-1 error", expected="numbers from 0 to 1", got=f"{np.nanmax(err):g}")
    for what, rows, least in (("loss", chosen, 4), ("error", known, 3)):
        if (what == "loss" or error is not None) and _different(n, d, y, rows) < least:
            got = str(_different(n, d, y, rows))
            raise InputError(f"too few runs for the law of the {what}", expected=f"{least} or more", got=got)
    ones = np.ones(len(y))
    first, loss_fit = _loss(n, d, y, chosen, ones, H_STARTS)
    best, residual = [first], {"loss": loss_fit.rss / chosen.sum()}
    if error is not None:
        second, error_fit = _error(y, err, known, ones, GAMMA_STARTS)
        best, residual = [first, second], residual | {"error": error_fit.rss / known.sum()}
    rng, many, thin, edges = np.random.default_rng(seed), [], 0, 0
    for _ in range(draws):
        weights = rng.multinomial(len(y), np.full(len(y), 1 / len(y))).astype(float)
        picked = weights > 0
        if _different(n, d, y, chosen & picked) < 4 or (
            error is not None and _different(n, d, y, known & picked) < 3
        ):
            thin += 1
            continue
        parts = [_loss(n, d, y, chosen, weights, loss_fit.theta[None])]
        if error is not None:
            parts.append(_error(y, err, known, weights, error_fit.theta[None]))
        edges += any(e.at_bound for _, e in parts)
        many.append(np.concatenate([p for p, _ in parts]))
    names = ["E", "a", "b", "eta", *(["eps", "k", "gamma"] if error is not None else [])]
    table = np.array(many).reshape(-1, len(names))
    status = f"{thin} of {draws} resamples had too few different runs" if thin else ""
    if edges:
        status = "; ".join([*([status] if status else []), f"{edges} ended at a bound of an exponent"])
    params = dict(zip(names, np.concatenate(best).tolist(), strict=True))
    size = {k: int(chosen.sum()) if i < 4 else int(known.sum()) for i, k in enumerate(names)}
    intervals = {
        k: interval(params[k], table[:, i], size[k], level, HOW, status) for i, k in enumerate(names)
    }
    intervals["exponent"] = interval(-2 * params["eta"], -2 * table[:, 3], size["eta"], level, HOW, status)
    rmse = {k: float(np.sqrt(v)) for k, v in residual.items()}
    return Overtraining(params, intervals, rmse, level, table)


def _pair(N: ArrayLike, D: ArrayLike) -> tuple[Floats, Floats]:
    n, d = numbers(np.atleast_1d(N), "N"), numbers(np.atleast_1d(D), "D")
    if len(n) != len(d):
        raise InputError("columns of different lengths", expected="one length", got=f"{len(n)}, {len(d)}")
    return n, d


def _different(n: Floats, d: Floats, y: Floats, rows: np.ndarray) -> int:
    return len(np.unique(np.stack([n, d, y], axis=1)[rows], axis=0))


def _loss(
    n: Floats, d: Floats, y: Floats, rows: np.ndarray, weights: Floats, starts: Floats
) -> tuple[Floats, Separable]:
    """E, a, b, eta: least squares in N^h, D^h and 1, with N and D in units of their geometric means."""
    rows = rows & (weights > 0)
    u, v = np.log(n[rows]), np.log(d[rows])
    cu, cv = u.mean(), v.mean()

    def basis(t: Floats) -> Floats:
        return np.stack([np.exp(t[0] * (u - cu)), np.exp(t[0] * (v - cv)), np.ones_like(u)], axis=1)

    end = separable(basis, y[rows], starts, H_BOUNDS, weights[rows])
    eta = -end.theta[0] / 2
    alpha, beta = end.coefficients[:2] * np.exp(2 * eta * np.array([cu, cv]))
    # N^h = (C / 6M)^(-eta), D^h = (C M / 6)^(-eta)
    return np.array([end.coefficients[2], alpha * 6**eta, beta * 6**eta, eta]), end


def _error(
    y: Floats, err: Floats, rows: np.ndarray, weights: Floats, starts: Floats
) -> tuple[Floats, Separable]:
    """eps, k, gamma: least squares in 1 and exp(-gamma (L - mean L))."""
    rows = rows & (weights > 0)
    x, centre = y[rows], y[rows].mean()

    def basis(t: Floats) -> Floats:
        return np.stack([np.ones_like(x), -np.exp(-t[0] * (x - centre))], axis=1)

    end = separable(basis, err[rows], starts, GAMMA_BOUNDS, weights[rows])
    gamma = float(end.theta[0])
    return np.array([end.coefficients[0], end.coefficients[1] * np.exp(gamma * centre), gamma]), end


def _curves(table: Floats, n: Floats, d: Floats) -> dict[str, Floats]:
    """Loss, and error if the table (S, 4 or 7) has it, at runs (m,): each (S, m)."""
    e, a, b, eta = (c[:, None] for c in table.T[:4])
    c, m = 6 * n * d, d / n
    loss = e + (a * m**eta + b * m**-eta) * c**-eta
    if table.shape[1] == 4:
        return {"loss": loss}
    eps, k, gamma = (c[:, None] for c in table.T[4:])
    return {"loss": loss, "error": eps - k * np.exp(-gamma * loss)}
