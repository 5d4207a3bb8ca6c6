"""Steps in folder and file names: `step1000`, `checkpoint-1000`, `stage1-step100-tokens4B` ..."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_EDGE = r"(?:^|(?<=[^a-z]))"
# in order of preference: a name with both epoch and step goes by its step
_STEP = [
    re.compile(_EDGE + words + r"[-_=.]?(\d+)([km]?)(?![a-z0-9])", re.IGNORECASE)
    for words in (r"(?:global[-_]?)?steps?", r"iter(?:ation)?s?", r"updates?", r"(?:checkpoint|ckpt)")
]
_EPOCH = re.compile(_EDGE + r"epochs?[-_=.]?(\d+)()(?![a-z0-9])", re.IGNORECASE)
_TOKENS = re.compile(_EDGE + r"tokens?[-_=.]?(\d+(?:\.\d+)?)([kmbt]?)(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class StepTag:
    """A place on the control axis, read from a name. `kind` is "step" or "epoch"."""

    step: float
    tokens: float | None = None
    kind: str = "step"


def parse_step(name: str) -> StepTag | None:
    """Step (and tokens, where stated) in one folder or file name, or None.

    Examples
    --------
    >>> parse_step("stage1-step100-tokens4B")
    StepTag(step=100.0, tokens=4000000000.0, kind='step')
    >>> parse_step("160m-5shot_step3000.json").step
    3000.0
    """
    found = _TOKENS.search(name)
    tokens = float(found[1]) * _SCALE[found[2].lower()] if found else None
    for pattern in (*_STEP, _EPOCH):
        hit = pattern.search(name)
        if hit:
            kind = "epoch" if pattern is _EPOCH else "step"
            return StepTag(float(hit[1]) * _SCALE[hit[2].lower()], tokens, kind)
    return None


def parse_path(path: Path, root: Path) -> StepTag | None:
    """Step from the file's name, else from the nearest folder above it, below `root`.

    The name of `root` itself says nothing about one state among many; where `path` is `root`, its
    own name and that of its folder count.
    """
    parts = (path.parent.name, path.name) if path == root else path.relative_to(root).parts
    for part in reversed(parts):
        tag = parse_step(part)
        if tag:
            return tag
    return None
