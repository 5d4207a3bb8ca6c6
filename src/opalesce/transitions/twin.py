"""The twin is judged by the same pipeline, leave-one-out (COURT 13)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from opalesce.estimate import Estimate
from opalesce.transitions.evidence import Evidence, Setting, TwinEvidence, first_look
from opalesce.transitions.witness import Witness


def twin_evidence(e: Evidence, setting: Setting, m: int) -> TwinEvidence | None:
    """h_real / h_twin with interval, rank p with K twins, and whether a twin changes at the same place.

    With one twin there is no other to subtract: it is judged against the model null alone.
    The ratio takes the largest twin height; its interval follows from the standard errors of the
    two heights at their fitted places.
    """
    w = e.witness
    if w.twins is None or e.judged is None:
        return None
    own = e.judged.table.design.height_at(w.y, e.fit) / e.fit.height
    looks = [first_look(_as_run(w, k), setting, m) for k in range(w.n_twins)]
    judged = [t for t in looks if t.judged is not None]
    if not judged:
        none = Estimate(math.inf)
        return TwinEvidence(w.n_twins, none, 1 / (w.n_twins + 1), False, True, own, "the twins are constant")
    # like with like: one twin is judged raw, so the run beside it is too
    real = e if w.n_twins > 1 else first_look(replace(w, twins=None), setting, m)
    if real.judged is None:
        return TwinEvidence(w.n_twins, Estimate(0.0), 1.0, False, False, own, "the run itself is constant")
    above = sum(t.sharp >= real.sharp for t in judged)
    same = any(t.p_sharp * m <= setting.alpha and abs(t.fit.place - e.fit.place) <= e.margin for t in judged)
    largest = max(judged, key=lambda t: abs(t.fit.height))
    ratio = abs(real.fit.height) / abs(largest.fit.height) if largest.fit.height else math.inf
    relative = math.hypot(
        real.fit.height_se / abs(real.fit.height), largest.fit.height_se / abs(largest.fit.height)
    )
    low, high = ratio * math.exp(-1.645 * relative), ratio * math.exp(1.645 * relative)
    note = "one twin: judged without another to subtract" if w.n_twins == 1 else ""
    return TwinEvidence(
        w.n_twins,
        Estimate(ratio, low, high, w.n_twins, method="delta method on the log ratio"),
        (1 + above) / (1 + w.n_twins),
        same,
        _smooth_range(real) > max(_smooth_range(t) for t in judged),
        own,
        note,
    )


def _as_run(w: Witness, k: int) -> Witness:
    other = w.leave_one_out(k)
    if other is not None:
        return other
    assert w.twins is not None
    return replace(w, y=np.asarray(w.twins[k]), twins=None, stderr=None)


def _smooth_range(e: Evidence) -> float:
    assert e.judged is not None
    return e.judged.table.design.smooth_range(e.judged.y, e.fit.noise)
