"""What the parameters would be with other choices: other points, another delta."""

from __future__ import annotations

from typing import Any

import numpy as np

from opalesce.laws.data import Points
from opalesce.laws.descent import Optimum, polish, search
from opalesce.laws.forms import Floats, Form

DELTAS = (1e-4, 1e-3, 1e-2, 1e-1, np.inf)
WORST = (1, 5)
THIN = 4  # the optima of the whole data are starts too, so that every fourth start is enough


def sensitivity(
    law: Form, data: Points, u: Floats, ends: list[Optimum], delta: float
) -> list[dict[str, Any]]:
    """Refits without the worst points, without the smallest x, and with Huber's delta over four decades.

    One row a choice: what was changed, how many points were left, and the parameters.
    """
    centre, n, size = data.centre, len(data.v), len(law.names)
    residual = np.abs(data.v - law.log_value(ends[0].theta[None], u)[0][0])
    rows = []

    def row(change: str, keep: Any, d: float) -> None:
        kept_u, kept_v = u[:, keep], data.v[keep]
        if len(kept_v) < size + 1 or np.ptp(kept_v) == 0 or (np.ptp(kept_u, axis=1) == 0).any():
            return
        bounds = law.bounds(kept_u, kept_v)
        found = [polish(law, kept_u, kept_v, end.theta, bounds, d) for end in ends[:2]]
        if len(kept_v) < n:  # other points may have another optimum
            some = law.starts(kept_u, kept_v)[::THIN]
            found += search(law, kept_u, kept_v, delta=d, starts=some, keep=1)
        best = min(found, key=lambda o: o.objective)
        values = law.natural(best.theta[None], centre)[0].tolist()
        rows.append({"change": change, "n": len(kept_v), "params": dict(zip(law.names, values, strict=True))})

    worst = np.argsort(residual)
    for k in WORST:
        row(f"without the {k} worst-fitted", np.sort(worst[:-k]) if k < n else worst[:0], delta)
    row("without the smallest fifth", np.argsort(u[0])[n // 5 :], delta)
    for d in DELTAS:
        row("least squares" if d == np.inf else f"Huber delta {d:g}", slice(None), d)
    return rows
