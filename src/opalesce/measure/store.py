"""Results on disk: one small JSON file per cell, written atomically; what exists is done.

A cell is one module at one checkpoint. Its file holds the results of all observables that were asked
for at once, each under its own key; later questions add files, nothing is ever rewritten. So a
process that is killed loses at most the file in work, and uncoordinated processes can share a store.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opalesce.errors import InputError, StoreError
from opalesce.runs.bounded import read_json, real

MAX_CELL = 10_000_000  # bytes of the results of one module at one checkpoint


@dataclass(frozen=True)
class Result:
    """Value of one observable (float, or list of float) and, when there is none, why."""

    value: float | tuple[float, ...]
    status: str = ""


def digest(*parts: Any) -> str:
    """Hex identity of JSON-able parts."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _dump(value: float | tuple[float, ...]) -> Any:
    if isinstance(value, tuple):
        return [_dump(v) for v in value]
    return value if math.isfinite(value) else None


def _load(value: Any) -> float | tuple[float, ...]:
    if isinstance(value, list):
        return tuple(math.nan if v is None else float(v) for v in value)
    return math.nan if value is None else float(value)


def write_atomically(path: Path, text: str) -> None:
    """Write under a temporary name, force to disk, rename: the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # what a killed process left, or a link that somebody put there
    with temporary.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if os.name == "posix":  # the rename itself must survive a power cut
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@dataclass(frozen=True)
class Store:
    """A folder `cells/<checkpoint fingerprint>/<cell>-<question>.json`."""

    folder: Path

    def path(self, fingerprint: str, module: str, keys: Mapping[str, str]) -> Path:
        """File for these observables (`keys`: name to key) of one module at one checkpoint."""
        name = f"{digest(module)[:16]}-{digest(sorted(keys.values()))[:16]}.json"
        return self._home(fingerprint) / name

    def _home(self, fingerprint: str) -> Path:
        home = self.folder / "cells" / fingerprint
        if real(home) != real(self.folder) / "cells" / fingerprint:
            raise StoreError(
                "a folder of the store is a link that leads out of it", got=str(home),
                fix="remove the link, or choose another folder",
            )  # fmt: skip
        return home

    def read(self, fingerprint: str, module: str) -> dict[str, Result]:
        """All results known for a cell, by key. A file that does not parse counts as absent.

        Raises
        ------
        StoreError
            The folder of the checkpoint is a link out of the store.
        """
        known: dict[str, Result] = {}
        home = self._home(fingerprint)
        for path in sorted(home.glob(f"{digest(module)[:16]}-*.json")):
            try:
                entries = read_json(path, MAX_CELL)["results"]
                known |= {k: Result(_load(e["value"]), str(e["status"])) for k, e in entries.items()}
            except (InputError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
                continue
        return known

    def write(
        self,
        path: Path,
        module: str,
        step: float,
        keys: Mapping[str, str],
        results: Mapping[str, Result],
        digests: Mapping[str, str],
    ) -> None:
        """Write one cell; `keys` and `results` are by observable name."""
        document = {
            "module": module,
            "step": step,
            "tensors": dict(digests),
            "results": {
                keys[name]: {"observable": name, "value": _dump(r.value), "status": r.status}
                for name, r in results.items()
            },
        }
        write_atomically(path, json.dumps(document, indent=1) + "\n")
