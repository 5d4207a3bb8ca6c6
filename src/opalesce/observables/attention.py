"""What heads look at: prefix matching (induction) and entropy of attention patterns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.observables.registry import observable


@dataclass(frozen=True)
class Attention:
    """View `attention`: patterns recorded on sequences made of one repeated block.

    Attributes
    ----------
    patterns : array, shape (batch, heads, T, T)
        Row t holds the attention of query t over the keys 0..T-1; rows sum to 1, keys after t are 0.
        Heads of all layers stand side by side.
    period : array of int, shape (batch,)
        Length p of the block that the sequence repeats.
    """

    patterns: NDArray[np.floating]
    period: NDArray[np.integer]

    def __post_init__(self) -> None:
        a, p = np.asarray(self.patterns), np.asarray(self.period)
        if a.ndim != 4 or a.shape[2] != a.shape[3] or a.size == 0 or p.shape != a.shape[:1]:
            raise InputError(
                "attention patterns have the wrong shape",
                expected="(batch, heads, T, T) and one period per sequence",
                got=f"{a.shape} and {p.shape}",
            )
        if not np.isfinite(a).all():
            raise InputError("attention patterns hold NaN or infinite values", fix="check the recording")
        if p.min() < 1 or p.max() >= a.shape[2]:
            raise InputError(
                "a period leaves no repeated token",
                expected=f"1 <= period < {a.shape[2]}",
                got=f"{p.min()}..{p.max()}",
            )


def prefix_matching(attention: Attention) -> NDArray[np.float64]:
    """Prefix-matching score of each sequence and head, shape (batch, heads).

    Mean over queries t >= p of A[t, t - p + 1]: the attention to the token that followed the
    latest earlier occurrence of the current one (Olsson et al. 2022, "prefix matching").
    """
    a = attention.patterns
    length = a.shape[2]
    out = np.empty(a.shape[:2])
    for p in np.unique(attention.period):
        of = attention.period == p
        t = np.arange(p, length)
        out[of] = a[of][:, :, t, t - p + 1].mean(axis=2, dtype=float)
    return out


def mean_and_error(per_sequence: NDArray[np.float64], method: str) -> Estimate:
    """Mean over sequences with its normal 90 % interval (sd / sqrt(n), n sequences)."""
    n = per_sequence.size
    mean = float(per_sequence.mean())
    half = 1.6448536269514722 * float(per_sequence.std(ddof=1)) / np.sqrt(n) if n > 1 else np.nan
    return Estimate(mean, mean - half, mean + half, n, "", method)


@observable(
    on="attention",
    unit="1",
    symmetries={"head_permutation", "batch_permutation"},
    null="twin",
    source="olsson2022context, section 'prefix matching'",
    lineage="activations",
)
def induction_score(attention: Attention) -> float:
    r"""Prefix-matching score of the best head.

    .. math:: \max_h \; \langle A^h_{t,\,t-p+1} \rangle_{t \ge p,\ \mathrm{sequences}}

    Dimensionless, in [0, 1]. A head that spreads evenly over its past scores about 1/t; a perfect
    induction head whose context holds one earlier copy scores 1, and less where it shares its
    attention between several copies. Being a maximum over heads it is biased upwards; its twin
    carries the same bias.

    Parameters
    ----------
    attention : Attention
        Patterns (batch, heads, T, T) and the period of each sequence.

    Raises
    ------
    InputError
        From `Attention`, when shapes or periods are wrong or a value is not finite.
    """
    return float(prefix_matching(attention).mean(axis=0).max())


def row_entropy(attention: Attention) -> NDArray[np.float64]:
    """Mean Shannon entropy of the rows in nats, per sequence and head: shape (batch, heads)."""
    a = np.asarray(attention.patterns, float)
    safe = np.where(a > 0, a, 1.0)
    return np.asarray(-(a * np.log(safe)).sum(axis=3).mean(axis=2))


@observable(
    on="attention",
    unit="nat",
    symmetries={"head_permutation", "batch_permutation"},
    null="twin",
    source="zhai2023stabilizing, section 3 (attention entropy)",
    lineage="activations",
)
def attention_entropy(attention: Attention) -> float:
    r"""Mean entropy of attention rows, over sequences, heads and queries.

    .. math:: \langle -\sum_s A_{ts} \ln A_{ts} \rangle_{t,\ \mathrm{heads},\ \mathrm{sequences}}

    Nats; 0 when each query looks at one key, and the mean of ln(t+1) when attention is even.

    Raises
    ------
    InputError
        From `Attention`.
    """
    return float(row_entropy(attention).mean())
