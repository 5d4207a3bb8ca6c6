"""Where a number came from: versions, machine kind, time and command line."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("opalesce", "numpy", "scipy", "numba", "pandas", "xarray", "joblib", "plotly", "torch")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def provenance() -> dict[str, object]:
    """Versions of what was used, Python, platform, UTC time and command line.

    The program's own path is cut to its name and the home folder is written as `~`: a report is made
    to be shown to others.

    Returns
    -------
    dict
        Keys `versions`, `python`, `platform`, `time` (ISO 8601, UTC), `command`.
    """
    home = str(Path.home())
    words = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else []
    return {
        "versions": {p: _version(p) for p in PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(w.replace(home, "~") if len(home) > 1 else w for w in words),
    }
