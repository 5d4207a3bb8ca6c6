"""Train many runs at once, each into a hidden folder that is renamed when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from joblib import Parallel, delayed

Job = tuple[Path, Callable[[Path], object]]


def once(folder: Path, make: Callable[[Path], object]) -> None:
    """Make `folder` unless it is there; a half-made one is never taken for a run."""
    if folder.exists():
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    make(part)
    part.rename(folder)


def all_once(jobs: Sequence[Job], say: Callable[[str], object], what: str) -> None:
    """Make all folders with one worker per core; what is there already is kept."""
    say(f"{what}: 0 of {len(jobs)}")
    for folder, _ in jobs:
        folder.parent.mkdir(parents=True, exist_ok=True)
    workers = min(len(jobs), os.cpu_count() or 1)
    finished = Parallel(n_jobs=workers, return_as="generator_unordered")(delayed(once)(f, m) for f, m in jobs)
    for k, _ in enumerate(finished):
        say(f"{what}: {k + 1} of {len(jobs)}")
