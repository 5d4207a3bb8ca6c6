"""An estimate never travels alone: value, interval, sample size, status."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number with what is needed to believe it.

    Attributes
    ----------
    value, low, high : float
        Point estimate and its interval at `level`; NaN where there is none.
    n : int
        Number of data behind it.
    status : str
        Empty when all is well; else one sentence for the user (expected, got, type this next).
    method : str
        How it was made, in words.
    level : float
        Confidence level of the interval.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    status: str = ""
    method: str = ""
    level: float = 0.9

    @property
    def ok(self) -> bool:
        """True when there is no complaint and the value is finite."""
        return not self.status and math.isfinite(self.value)

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return self.status or "no estimate"
        if math.isfinite(self.low) and math.isfinite(self.high):
            return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.value:.4g}"
