"""The scan of a folder: which reader takes which file, and why the others are left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from opalesce.errors import FormatError
from opalesce.runs import lm_eval
from opalesce.runs.bounded import real
from opalesce.runs.orbax import METADATA
from opalesce.runs.run import Checkpoint, Event, Fault, Left
from opalesce.runs.scan_logs import finish, one
from opalesce.runs.scan_weights import gather, place_trees
from opalesce.runs.series import Parsed
from opalesce.runs.trainer_state import State


@dataclass
class Scanner:
    """What is gathered while a folder is scanned."""

    root: Path
    allow_pickle: bool = False
    trees: list[Path] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    logs: list[tuple[Path, Parsed]] = field(default_factory=list)
    evals: list[lm_eval.EvalFile] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    config: dict[str, object] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    event_files: dict[Path, list[Path]] = field(default_factory=dict)
    took: list[tuple[str, str]] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """Path as people see it: relative to the root."""
        try:
            name = str(path.relative_to(self.root)) if path != self.root else path.name
        except ValueError:
            name = str(path)
        return name.replace("\n", "\\n")  # a line break could look like another line of ours

    def take(self, path: Path, reader: str) -> None:
        """Note that `reader` took the file."""
        self.took.append((self.name(path), reader))

    def leave(self, path: Path, why: str, broken: FormatError | None = None) -> None:
        """Note why a file was left; a file that broke its own format is also a fault."""
        self.left.append(Left(self.name(path), why))
        if broken is not None:
            weights = path.name.endswith(".index.json")
            self.faults.append(
                Fault(
                    "bad file",
                    str(path),
                    broken.got or broken.what,
                    broken.expected,
                    broken.fix,
                    severity="fault" if weights else "warning",
                )
            )


def scan(root: Path, allow_pickle: bool = False) -> Scanner:
    """Scan a folder (or one file) recursively, in sorted order, within `root` only."""
    s = Scanner(root, allow_pickle)
    files = list(_walk(root, s)) if root.is_dir() else [root]
    weights = gather(files, s)
    place_trees(s)
    for path in files:
        if path not in weights:
            one(path, s)
    finish(s)
    return s


def _walk(root: Path, s: Scanner) -> Iterator[Path]:
    home = real(root)
    for folder, folders, names in os.walk(root, followlinks=False):
        here = Path(folder)
        if METADATA in names:
            s.trees.append(here)
            folders.clear()
            continue
        for name in sorted(folders):
            if (here / name).is_symlink():
                s.leave(here / name, "a link to a folder: not followed")
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        for name in sorted(n for n in names if not n.startswith(".")):
            path = here / name
            if path.is_symlink() and not real(path).is_relative_to(home):
                s.leave(path, "a link that leads out of this folder: not followed")
            elif not path.is_file():
                s.leave(path, "not a regular file")
            else:
                yield path
