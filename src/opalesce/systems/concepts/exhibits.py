"""The figures of the `concepts` page: the staircase, the collapse, what is usually asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from opalesce.laws.broken import break_place, fit_broken
from opalesce.report.exhibits import Exhibit, Mark, Plate, Role, Series
from opalesce.systems.concepts.judge import Ladders
from opalesce.systems.concepts.ladder import stream
from opalesce.systems.concepts.predict import Theory
from opalesce.theory.percolation.exact import layered_giant

Floats = NDArray[np.float64]
AUC = (0.38, 1.03)
NETWORKS: tuple[Role, ...] = ("seen", "third", "second")
ROLES: tuple[Role, ...] = ("fourth", "second", "third", "seen")


def spread(values: Floats) -> tuple[Floats, list[float], list[float]]:
    """Mean over seeds and its 95 % t-interval."""
    from scipy.stats import t

    n = len(values)
    mean = values.mean(axis=0)
    half = t.ppf(0.975, max(n - 1, 1)) * values.std(axis=0, ddof=1 if n > 1 else 0) / np.sqrt(n)
    return mean, (mean - half).tolist(), (mean + half).tolist()


def staircase(theory: Theory, main: Ladders, learners: Mapping[str, Ladders]) -> Exhibit:
    """One plate per capability: frozen theory, oracle, networks, twins, against density.

    `main` gives oracle and twins, `learners` the networks by name.
    """
    plates = []
    x = main.density.tolist()
    for i, c in enumerate(main.capabilities):
        low, high = theory.band(i, len(main.auc))
        twin = main.twin[:, i]
        bounds = twin.min(0).tolist(), twin.max(0).tolist()
        series = [
            Series("twins: who goes with whom is shuffled", "null", x, twin.mean(0).tolist(), *bounds),
            Series(
                "theory, frozen: band of the mean", "theory", x,
                theory.grown.oracle[:, i].mean(axis=0).tolist(), low.tolist(), high.tolist(),
            ),
            Series("oracle: same component", "exact", x, main.oracle[:, i].mean(0).tolist()),
        ]  # fmt: skip
        for (name, seen), role in zip(learners.items(), NETWORKS, strict=True):
            mean, down, up = spread(seen.auc[:, i])
            series.append(Series(name, role, seen.density.tolist(), mean.tolist(), down, up))
        peak = theory.grown.peak[:, i]
        mark = Mark(float(peak.mean()), "threshold", *np.quantile(peak, [0.05, 0.95]).tolist())
        title = f"{c.name}: 1/√(|E||K|) = {c.threshold:.3g}"
        plates.append(
            Plate(title, "density of pairs seen", "AUC on unseen pairs", series, (mark,), True, y_range=AUC)
        )
    return Exhibit(
        "staircase",
        "Percolation of concepts: what connection allows, and what is learned",
        "An unseen pair can be inferred when seen pairs connect its two ends. The band and the threshold "
        "(with its finite-size spread) were fixed before training. No network goes beyond the oracle; with "
        "weight decay one comes close to it, without it networks come later. Error bars: 95 % over seeds.",
        plates,
    )


def collapse(seen: Ladders, decayed: Ladders) -> Exhibit:
    """Oracle, networks and data graph of all capabilities against C_n = density / threshold."""

    def plate(title: str, y: str, of: Ladders, values: Floats) -> Plate:
        series = [
            Series(c.name, ROLES[i % 4], (of.density / c.threshold).tolist(), values[:, i].mean(0).tolist())
            for i, c in enumerate(of.capabilities)
        ]
        y_range = AUC if y == "AUC" else None
        return Plate(title, "C_n = density / threshold", y, series, (Mark(1.0, ""),), True, y_range=y_range)

    graph = plate("giant component of the seen graph", "share of nodes", seen, seen.giant)
    c = seen.capabilities[-1]
    widths = np.array([c.entities, c.properties])
    share = np.array([layered_giant(widths, float(p)) @ widths for p in seen.density]) / widths.sum()
    limit = Series("infinite families", "theory", (seen.density / c.threshold).tolist(), share.tolist())
    return Exhibit(
        "collapse",
        "In units of the threshold: what is connected falls on one curve",
        "C_n is the connectivity number. The dotted line is the giant component of infinite families. A "
        "network with weight decay keeps the collapse, one without it loses it.",
        (
            replace(graph, series=(*graph.series, limit)),
            plate("oracle", "AUC", seen, seen.oracle),
            plate("embedding with decay", "AUC", decayed, decayed.auc),
            plate("embedding", "AUC", seen, seen.auc),
        ),
    )


def broken(seen: Ladders) -> Exhibit:
    """Error of the embedding model with the broken law fitted to it, and the place of its break."""
    plates = []
    x = seen.density
    for i, c in enumerate(seen.capabilities):
        error = np.clip(1 - seen.auc[:, i], 1e-3, None)
        mean, low, high = spread(error)
        law = fit_broken(x, mean)
        place = break_place(x, error, stream(0, 5, i))
        fine = np.geomspace(x[0], x[-1], 120)
        series = [
            Series("embedding model", "seen", x.tolist(), mean.tolist(), low, high),
            Series("broken law", "theory", fine.tolist(), law(fine).tolist()),
        ]
        marks = (Mark(place.value, "break", place.low, place.high), Mark(c.threshold, "threshold"))
        title = f"{c.name}: break at {place.value / c.threshold:.2f} thresholds"
        plates.append(Plate(title, "density of pairs seen", "1 - AUC", series, marks, log_x=True, log_y=True))
    return Exhibit(
        "broken",
        "The broken law sees a break; it does not know the threshold",
        "A broken neural scaling law fitted to the error, with the interval of its break over seeds. It is a "
        "description after the fact: the break lies beyond the threshold by a factor that depends on the "
        "learner.",
        plates,
    )


def naive(seen: Ladders) -> Exhibit:
    """The same networks asked with unmatched false answers: the order is lost, chance is left early."""
    curves: tuple[tuple[str, Role, Floats], ...] = (
        ("matched false answers", "seen", seen.auc),
        ("any false answer", "third", seen.naive),
        ("oracle: same component", "exact", seen.oracle),
    )
    x = seen.density.tolist()
    plates = [
        Plate(
            c.name,
            "density of pairs seen",
            "AUC",
            [Series(label, role, x, y[:, i].mean(0).tolist()) for label, role, y in curves],
            (Mark(c.threshold, ""),),
            log_x=True,
            y_range=AUC,
        )
        for i, c in enumerate(seen.capabilities)
    ]
    return Exhibit(
        "naive",
        "Why the order is lost when false answers are drawn from anywhere",
        "A property that hangs in another family's large component is ruled out by what is absent, and small "
        "families look unlike large ones: unmatched questions measure that, above or below chance, before "
        "any connection exists. With matched questions the order of the thresholds returns.",
        plates,
    )


def chains(found: Mapping[str, Sequence[tuple[str, Floats, Floats]]]) -> Exhibit:
    """Right answers by chain length; per learner (capability, lengths, shares (seed, length))."""
    plates = []
    for learner, rows in found.items():
        series = []
        for i, (name, lengths, shares) in enumerate(rows):
            mean, low, high = spread(shares)
            series.append(Series(name, ROLES[i % 4], lengths.tolist(), mean.tolist(), low, high))
        title = f"{learner}: C_n from 1.5 to 4"
        plates.append(Plate(title, "links between the two ends", "share right", series, y_range=(0.3, 1.05)))
    return Exhibit(
        "chains",
        "What closes the gap: how long a chain of inference may be",
        "Unseen pairs by the number of seen pairs that connect their ends (0: not connected). Without a "
        "connection the answer is a coin's. Just above the threshold most chains are long. Without weight "
        "decay three links are mostly inferred and seven hardly ever; with it the reach doubles. Found after "
        "training, not predicted.",
        plates,
    )
