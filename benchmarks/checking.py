"""Checking 154 checkpoints: the series doctor against the loop one writes by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, child

STATES, MATRICES, SIZE = 154, 8, 192
HAND = """
import hashlib
from safetensors.numpy import load_file
seen = {}
bad = []
for file in sorted(Path(FOLDER).glob("*.safetensors")):
    for name, w in load_file(file).items():
        if not np.isfinite(w).all() or not w.any():
            bad.append((file.name, name))
        key = hashlib.sha256(w.tobytes()).hexdigest()
        if key in seen:
            bad.append((file.name, name))
        seen[key] = file.name
value = len(bad)
"""


def series(folder: Path, states: int) -> None:
    """A slow random walk of a few matrices, as a run leaves it."""
    from opalesce.runs.safetensors import write

    rng = np.random.default_rng(0)
    w = {f"layer{i}.weight": rng.standard_normal((SIZE, SIZE)).astype(np.float32) for i in range(MATRICES)}
    for k in range(states):
        write(folder / f"step{1000 * k}.safetensors", w)
        for name in w:
            w[name] = w[name] + 0.02 * rng.standard_normal((SIZE, SIZE), dtype=np.float32)


def figures(quick: bool = False) -> Iterator[Figure]:
    """Time of a clean bill of health, by headers and samples and by every byte."""
    states = 20 if quick else STATES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        series(folder, states)
        setup = "import numpy as np\nfrom pathlib import Path\n"
        hand = child(setup + "import hashlib, safetensors.numpy", HAND.replace("FOLDER", repr(name)))
        for full, how in ((False, "headers and samples"), (True, "every byte")):
            ours = child(
                "import scipy.stats, opalesce, opalesce.runs.open\nfrom opalesce.runs.check import check",
                f"value = sum(f.severity != 'note' for f in check(opalesce.open({name!r}), full={full}))",
            )
            assert ours["value"] == hand["value"] == 0, (ours, hand)
            yield Figure(
                "checking",
                f"{states} checkpoints of {MATRICES} matrices {SIZE}², {how}; the loop tests NaN, zero and "
                "duplicates only",
                "a loop over safetensors.numpy.load_file, isfinite and sha256",
                "CPU s",
                ours["seconds"],
                hand["seconds"],
            )
