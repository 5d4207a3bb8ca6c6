"""The series doctor: is this run what it claims to be?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from opalesce.runs.run import Run

Severity = Literal["fault", "warning", "note"]
_ORDER = {"fault": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing, about a run.

    Attributes
    ----------
    kind : str
        What it is, in words: "bad file", "duplicate checkpoint", "missing steps" ...
    severity : {"fault", "warning", "note"}
        A fault would make a false transition; a warning may; a note is for the record.
    run, file, tensor : str
        Where; empty when it does not apply.
    step : float or None
        The state concerned; `x` holds all affected places on the control axis.
    expected, seen, fix : str
        Both sides of the disagreement, and what to do.
    false_transition : str
        Which false transition this would have caused.
    """

    kind: str
    severity: Severity
    run: str
    file: str = ""
    tensor: str = ""
    step: float | None = None
    x: tuple[float, ...] = ()
    expected: str = ""
    seen: str = ""
    fix: str = ""
    false_transition: str = ""

    def __str__(self) -> str:
        where = " ".join(
            p for p in (self.file, self.tensor, "" if self.step is None else f"step {self.step:g}") if p
        )
        head = f"{self.severity}: {self.run}: {self.kind}" + (f" ({where})" if where else "")
        head = head.replace("\n", "\\n")  # a name with a line break could look like a finding of its own
        rest = (
            ("seen", self.seen),
            ("expected", self.expected),
            ("do", self.fix),
            ("would have caused", self.false_transition),
        )
        return "\n  ".join([head, *(f"{k}: {v}" for k, v in rest if v)])


def check(
    run: Run,
    *others: Run,
    full: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Finding]:
    """Findings about each run given and about every pair of them, the gravest first.

    Without `full`: headers, a sample of each tensor (8 blocks of 512 elements, first and last
    included) and all curves; an isolated NaN between the blocks is not seen. With `full` every
    byte is read. Needs neither torch nor the model class.

    Parameters
    ----------
    run, *others : Run
        Others are checked in the same way, and each pair for agreement beyond chance.
    full : bool
        Stream every tensor.
    progress : callable, optional
        Called with (what, done, total) after each checkpoint.

    Returns
    -------
    list of Finding
        Empty for a sound run. Broken files are findings, never exceptions.
    """
    from opalesce.runs.check_evals import check_evals
    from opalesce.runs.check_model import check_model
    from opalesce.runs.check_pairs import check_pair
    from opalesce.runs.check_series import check_series
    from opalesce.runs.check_shards import check_shards
    from opalesce.runs.check_weights import check_weights, look

    found: list[Finding] = []
    seen = []
    for r in (run, *others):
        looks, bad = look(r, full, progress)
        seen.append(looks)
        found += bad + check_weights(r, looks) + check_model(r, looks) + check_shards(r, looks)
        found += check_series(r) + check_evals(r)
    runs = (run, *others)
    for i, j in combinations(range(len(runs)), 2):
        found += check_pair(runs[i], runs[j], seen[i], seen[j], len(runs))
    return sorted(found, key=lambda f: _ORDER[f.severity])
