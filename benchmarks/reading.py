"""Reading: our numpy reader against the safetensors library, time and peak memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, child

OURS = "import numpy as np\nfrom opalesce.runs.safetensors import checkpoint\n"
PEER = "import numpy\nfrom safetensors import safe_open\n"
TORCH = (
    PEER + "import torch, safetensors.torch\ntorch.set_num_threads(1)\n(torch.ones(9).double() ** 2).sum()\n"
)


def sharded(folder: Path, shards: int, tensors: int) -> Path:
    """A checkpoint of many small tensors over several files, with its index."""
    from opalesce.runs.safetensors import write

    rng = np.random.default_rng(0)
    index = {}
    for s in range(shards):
        name = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        part = {
            f"layers.{s}.{k}.weight": rng.standard_normal((32, 32)).astype(np.float32) for k in range(tensors)
        }
        write(folder / name, part)
        index |= dict.fromkeys(part, name)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return path


def big(path: Path, mib: int) -> Path:
    """One BF16 and one F32 tensor of `mib` MiB each, written with the peer."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(0)
    rows = mib * 2**20 // 4 // 1024
    x = torch.randn(rows, 1024, generator=generator)
    save_file({"float32": x, "bfloat16": torch.cat([x, x]).to(torch.bfloat16)}, path)
    return path


def figures(quick: bool = False) -> Iterator[Figure]:
    """Headers of a sharded checkpoint, and sums over large tensors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards, tensors, mib = (3, 20, 8) if quick else (12, 200, 256)
        index = sharded(folder, shards, tensors)
        ours = child(
            OURS,
            "from pathlib import Path\n"
            f"found = checkpoint(Path({str(index)!r}), 0).tensors()\n"
            "value = sorted((n, list(t.shape)) for n, t in found.items())[-1]",
        )
        theirs = child(
            PEER,
            "from pathlib import Path\n"
            "found = {}\n"
            f"for file in sorted(Path({str(folder)!r}).glob('*.safetensors')):\n"
            "    with safe_open(file, 'numpy') as f:\n"
            "        for n in f.keys():\n"
            "            found[n] = f.get_slice(n).get_shape()\n"
            "value = sorted((n, s) for n, s in found.items())[-1]",
        )
        assert ours["value"] == theirs["value"]
        yield Figure(
            "reading",
            f"headers of {shards * tensors} tensors in {shards} shards",
            "safetensors 0.8 safe_open, get_slice().get_shape()",
            "CPU s",
            ours["seconds"],
            theirs["seconds"],
        )
        path = big(folder / "big.safetensors", mib)
        for kind in ("float32", "bfloat16"):
            yield from _large(path, kind, mib)


def _large(path: Path, kind: str, mib: int) -> Iterator[Figure]:
    """Sum of squares in float64 of one large tensor: streamed by us, loaded by the peer."""
    ours = child(
        OURS + "from pathlib import Path\n",
        f"pieces = checkpoint(Path({str(path)!r}), 0).stream({kind!r})\n"
        "value = '%.6e' % sum(float(np.square(p, dtype=np.float64).sum()) for p in pieces)",
    )
    theirs = child(
        TORCH,
        f"with safe_open({str(path)!r}, 'pt') as f:\n"
        f"    t = f.get_tensor({kind!r})\n"
        "value = '%.6e' % float(torch.linalg.vector_norm(t, dtype=torch.float64) ** 2)",
    )
    assert ours["value"] == theirs["value"], (ours, theirs)
    peer = "safetensors 0.8 get_tensor (torch), vector_norm in float64"
    what = f"sum of squares of one {kind} tensor of {mib} MiB"
    yield Figure("reading", f"{what}: time", peer, "CPU s", ours["seconds"], theirs["seconds"])
    yield Figure("reading", f"{what}: peak memory", peer, "MiB", ours["mib"], theirs["mib"])
