"""What the audit says of one weight matrix: each number beside its null, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.plan import Module
from opalesce.measure.views import as_matrix
from opalesce.nulls.weights import shuffled
from opalesce.observables.entries import abs_cv, gini
from opalesce.observables.inputs import finite
from opalesce.observables.percolation import WeightGraph, null_ratio, percolation_ratio, percolation_z
from opalesce.observables.spectra import (
    Spectrum,
    entropy_effective_rank,
    mp_outliers,
    of_gram,
    participation_ratio,
    spectrum,
    stable_rank,
)
from opalesce.observables.tails import fit_power_law
from opalesce.runs.run import Checkpoint
from opalesce.theory.multifractal.exponents import legendre
from opalesce.theory.multifractal.neurons import ScaleFree, gaussian_alpha0

STREAM = 1 << 25  # entries above which a matrix is read in pieces
PIECE = 1 << 22
SAMPLE = 1 << 20  # entries for statistics of single entries
SIDE = 512  # rows and columns of the block that is percolated


@dataclass(frozen=True)
class Line:
    """One quantity of one matrix: value, null (closed form or one shuffled copy), and what the null is."""

    name: str
    value: float
    null: float = float("nan")
    kind: str = ""
    stderr: float = float("nan")
    status: str = ""


@dataclass(frozen=True)
class Audited:
    """All lines of one matrix; `spectrum` and `tau` are kept for figures."""

    module: str
    part: str
    block: int | None
    shape: tuple[int, int]
    lines: tuple[Line, ...]
    seconds: float = 0.0
    singular_values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    tau: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def parameters(self) -> int:
        """Entries of the matrix."""
        return self.shape[0] * self.shape[1]


@lru_cache(maxsize=64)
def _gaussian(targets: int) -> float:
    return gaussian_alpha0(targets)


def work(shape: tuple[int, ...]) -> float:
    """Floating-point operations of one matrix, roughly: two Gram spectra (its own and the null's)."""
    rows, columns = shape[0], int(np.prod(shape[1:]))
    short, long = sorted((rows, columns))
    spectra = 2.0 * long * short**2 + 12.0 * short**3
    return (1 if rows * columns > STREAM else 2) * spectra + 400.0 * long * short


def matrix_lines(w: NDArray[Any], sources: int, rng: np.random.Generator) -> tuple[list[Line], Spectrum, Any]:
    """Lines of a matrix that fits in memory, its spectrum, and its exponents (None where there are none).

    `sources` is the axis whose entries are the neurons that edges leave (0 rows, 1 columns).
    """
    a = finite(w, "the matrix", ndim=2)
    s = spectrum(a)
    lines, exponents = _neurons_lines(_scale_free(a, sources), a.shape[1 - sources], rng)
    entries = _some(a, rng)
    spectral = _spectral(s)
    null = shuffled(a, rng)
    spectral += _tails(s, spectrum(null))
    if exponents is not None:
        lines = _with_width_null(lines, _scale_free(null, sources))
    return [*spectral, *lines, *_entries(entries), *_network(a, rng)], s, exponents


def _scale_free(a: NDArray[np.floating], sources: int) -> ScaleFree:
    sums = ScaleFree()
    sums.add(a if sources == 0 else a.T)
    return sums


def streamed_lines(
    checkpoint: Checkpoint, module: Module, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[list[Line], Spectrum, Any]:
    """The same of a matrix with at least as many rows as columns, in pieces of rows; no shuffled null.

    Two passes: Gram matrix and size, then neurons (the columns) in units of that size.
    """
    name, columns = module.tensors[0], shape[1]
    gram = np.zeros((columns, columns))
    kept: list[NDArray[Any]] = []
    for rows in _pieces(checkpoint, name, columns):
        finite(rows, "the matrix", ndim=2)
        wide = rows.astype(np.float64)
        gram += wide.T @ wide
        kept.append(rng.choice(rows.ravel(), max(16, SAMPLE * len(rows) // shape[0])))
    s = of_gram(np.linalg.eigvalsh(gram), shape)
    rms = float(np.sqrt((s.values**2).sum() / (shape[0] * columns)))
    sums = ScaleFree()
    if rms > 0:
        sums.add_columns(_pieces(checkpoint, name, columns), rms)
    lines, exponents = _neurons_lines(sums, shape[0], rng)
    entries = np.concatenate(kept)
    block = as_matrix(_rows(checkpoint, name, shape, rng))
    return [*_spectral(s), *_tails(s, None), *lines, *_entries(entries), *_network(block, rng)], s, exponents


def _pieces(checkpoint: Checkpoint, name: str, columns: int) -> Iterator[NDArray[Any]]:
    chunk = max(1, PIECE // columns) * columns
    for flat in checkpoint.stream(name, chunk):  # type: ignore[attr-defined]
        yield flat.reshape(-1, columns)


def _rows(
    checkpoint: Checkpoint, name: str, shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[Any]:
    index = np.sort(rng.choice(shape[0], min(shape[0], SIDE), replace=False))
    return checkpoint.rows(name, index)  # type: ignore[attr-defined, no-any-return]


def _some(a: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.floating]:
    flat = a.ravel()
    return flat if flat.size <= SAMPLE else flat[rng.integers(0, flat.size, SAMPLE)]


def _spectral(s: Spectrum) -> list[Line]:
    long, short = max(s.shape), min(s.shape)
    c = short / long
    mp = "Marchenko-Pastur"
    return [
        Line("stable_rank", stable_rank(s), short / (1 + c**0.5) ** 2, mp),
        Line("participation_ratio", participation_ratio(s), long * short / (long + short), mp),
        Line("entropy_effective_rank", entropy_effective_rank(s), short * float(np.exp(-c / 2)), mp),
        Line("mp_outliers", mp_outliers(s), 0.0, f"{mp}, Tracy-Widom 99 %"),
    ]


def _tails(s: Spectrum, null: Spectrum | None) -> list[Line]:
    """Exponent of the tail of squared singular values and its distance, beside those of a shuffled copy."""
    mine, theirs = _fit(s), None if null is None else _fit(null)
    if mine is None:
        return [Line("tail_alpha", float("nan"), status="fewer than two positive singular values")]
    other = (float("nan"), float("nan")) if theirs is None else (theirs.alpha, theirs.distance)
    kind = "" if null is None else "shuffled entries"
    return [
        Line("tail_alpha", mine.alpha, other[0], kind, mine.stderr, mine.status),
        Line("tail_distance", mine.distance, other[1], kind),
    ]


def _fit(s: Spectrum) -> Any:
    squares = (s.values / (s.values[0] or 1.0)) ** 2
    squares = squares[squares > 0]
    return fit_power_law(squares) if np.unique(squares).size > 1 else None


def _neurons_lines(sums: ScaleFree, targets: int, rng: np.random.Generator) -> tuple[list[Line], Any]:
    """Exponents of the neurons with standard errors from a bootstrap over groups of them."""
    try:
        exponents = sums.exponents()
    except InputError as error:
        return [Line("multifractal_alpha0", float("nan"), status=str(error).splitlines()[0])], None
    f = legendre(exponents)
    null = _gaussian(targets) if targets > 10 else float("nan")
    r2 = float(exponents.r2[np.argmin(np.abs(exponents.q - 1))])
    spread = sums.bootstrap(50, rng).std(axis=0, ddof=1)
    return [
        Line("multifractal_alpha0", f.alpha0, null, "normal weights", float(spread[0])),
        Line("multifractal_width", f.width, stderr=float(spread[1])),
        Line("multifractal_r2", r2),
    ], exponents


def _with_width_null(lines: list[Line], null: ScaleFree) -> list[Line]:
    f = legendre(null.exponents())
    named = {"multifractal_width": f.width}
    return [replace(x, null=named[x.name], kind="shuffled entries") if x.name in named else x for x in lines]


def _entries(x: NDArray[np.floating]) -> list[Line]:
    return [
        Line("abs_cv", abs_cv(x), float(np.sqrt(np.pi / 2 - 1)), "normal weights"),
        Line("gini", gini(x), float(np.sqrt(2) - 1), "normal weights"),
    ]


def _network(a: NDArray[np.floating], rng: np.random.Generator) -> list[Line]:
    """Percolation of a block of at most 512 rows and columns: its null is drawn once for all matrices."""
    rows = np.sort(rng.choice(a.shape[0], min(a.shape[0], SIDE), replace=False))
    columns = np.sort(rng.choice(a.shape[1], min(a.shape[1], SIDE), replace=False))
    graph = WeightGraph(a[np.ix_(rows, columns)])
    return [
        Line("percolation_ratio", percolation_ratio(graph), null_ratio(graph), "100 uniform orders"),
        Line("percolation_z", percolation_z(graph), 0.0, "100 uniform orders"),
    ]
