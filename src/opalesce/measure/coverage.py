"""Coverage: which share of a model's parameters was analysed, and what was left out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from opalesce.errors import InputError
from opalesce.measure.packed import packed
from opalesce.measure.tied import tied
from opalesce.runs.run import Checkpoint, Run, TensorInfo


@dataclass(frozen=True)
class Coverage:
    """Parameters of one state: all, those analysed, and those left out by reason.

    Tied weights count once; buffers of integers and what only helps to unpack others are no parameters.
    """

    total: int
    analysed: int
    left: Mapping[str, int]

    @property
    def share(self) -> float:
        """Analysed over all; 0 where there is nothing."""
        return self.analysed / self.total if self.total else 0.0

    def __str__(self) -> str:
        """One line: `98.7 % of 1,234 parameters analysed; left out: vectors (biases, norms) 1.3 %`."""
        parts = [f"{why} {percent(n / self.total)}" for why, n in self.left.items() if n]
        said = f"{percent(self.share)} of {self.total:,} parameters analysed"
        return said + (f"; left out: {', '.join(parts)}" if parts else "")


def percent(share: float) -> str:
    """A share with one decimal, never rounded up to all or down to nothing."""
    shown = min(round(100 * share, 1), 99.9) if share < 1 else 100.0
    return "< 0.1 %" if share > 0 and shown == 0 else f"{shown:.1f} %"


def coverage(checkpoint: Checkpoint, config: Mapping[str, object], analysed: Collection[str]) -> Coverage:
    """Coverage of the state `checkpoint`, of which the tensors named in `analysed` are analysed.

    Raises
    ------
    InputError
        Its header cannot be read.
    """
    tensors = checkpoint.tensors()
    codes, twins = packed(tensors, config), tied([checkpoint], tensors, config)
    total, done, left = 0, 0, dict[str, int]()
    for name, info in tensors.items():
        n = codes[name].parameters if name in codes else math.prod(info.shape)
        if name in twins or (name not in codes and not _floating(info)) or not n:
            continue
        total += n
        if name in analysed and name not in codes:
            done += n
        else:
            why = codes[name].kind if name in codes else _why(info)
            left[why] = left.get(why, 0) + n
    return Coverage(total, done, dict(sorted(left.items(), key=lambda kv: -kv[1])))


def _floating(info: TensorInfo) -> bool:
    return info.dtype.upper().startswith(("F", "BF"))


def _why(info: TensorInfo) -> str:
    vector = sum(side > 1 for side in info.shape) < 2
    return "vectors (biases, norms)" if vector else "matrices not asked for"


def covered(run: Run, analysed: Collection[str]) -> str:
    """The line about the last checkpoint of a run whose header can be read; empty where there is none."""
    for checkpoint in reversed(_readable(run)):
        return str(coverage(checkpoint, run.config, analysed))
    return ""


def _readable(run: Run) -> Sequence[Checkpoint]:
    out = []
    for c in run.checkpoints:
        try:
            c.tensors()
        except (InputError, OSError):
            continue
        out.append(c)
    return out
