"""The number of breaks, chosen by what it is for: the tail of the data that was held out."""

from __future__ import annotations

from typing import Any

import numpy as np

from opalesce.laws.data import Points
from opalesce.laws.descent import search
from opalesce.laws.forms import Broken

CUTS = (0.55, 0.7, 0.85)  # share of the points (in order of x) that each trial is fitted to
SLACK = 1.1  # a break more must lower the held-out error by a tenth
SPARE = 2  # points beyond the parameters that a trial needs
THIN = 3  # every third start: three cuts and three laws are fitted, and each is refitted in full once chosen


def choose(data: Points, most: int = 2) -> tuple[int, dict[str, Any]]:
    """The fewest breaks whose held-out error is within a tenth of the best, and the errors.

    For each cut the law with 0 ... `most` breaks is fitted to the smaller x and scored on the rest by the
    root mean square error of ln y. Information criteria look only at the fitted part and made extrapolation
    worse on the benchmark of alabdulmohsin2022revisiting.
    """
    x, n = data.u[0], len(data.v)
    errors: dict[int, list[float]] = {k: [] for k in range(most + 1)}
    for share in CUTS:
        m = int(np.ceil(share * n))
        m = int(np.searchsorted(x, x[m - 1], side="right"))  # points of one x stay together
        if m >= n:
            continue
        centre = x[:m].mean()
        for k in errors:
            law = Broken(k)
            # a second break asks for two points a parameter: with fewer it follows the noise
            if m < (2 * len(law.names) if k > 1 else len(law.names) + SPARE):
                errors[k].append(np.inf)
                continue
            u = (x[:m] - centre)[None]
            best = search(law, u, data.v[:m], starts=law.starts(u, data.v[:m])[::THIN], keep=1)[0]
            tail = data.v[m:] - law.log_value(best.theta[None], (x[m:] - centre)[None])[0][0]
            errors[k].append(float(np.sqrt((tail**2).mean())))
    means = {k: float(np.mean(e)) if e else np.inf for k, e in errors.items()}
    if not np.isfinite(min(means.values())):
        return 0, {"held_out_rmse": {}, "chosen": 0, "why": "too few points to hold any out"}
    allowed = SLACK * min(means.values())
    chosen = min(k for k, e in means.items() if e <= allowed)
    return chosen, {"held_out_rmse": means, "chosen": chosen, "why": "held-out tails"}
