"""A 3 GB sharded BF16 checkpoint: peak memory of `measure`, and the rate of `check --full` from a cold disk.

Writes docs/sharded.md. Needs 4 GB of disk and Linux (/proc, posix_fadvise).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
WIDTH, VOCAB, LAYERS, SHARDS = 2048, 50304, 24, 4
PROGRAM = "import sys; from opalesce.cli import main; raise SystemExit(main(sys.argv[1:]))"
BLOCK = 1 << 23


def shapes() -> dict[str, tuple[int, int]]:
    """A 1.5-billion-parameter decoder."""
    out = {"model.embed_tokens.weight": (VOCAB, WIDTH), "lm_head.weight": (VOCAB, WIDTH)}
    for i in range(LAYERS):
        home = f"model.layers.{i}."
        out |= {f"{home}self_attn.{p}_proj.weight": (WIDTH, WIDTH) for p in "qkvo"}
        out |= {f"{home}mlp.{p}_proj.weight": (4 * WIDTH, WIDTH) for p in ("up", "gate")}
    return out


def make(folder: Path) -> int:
    """Shards with their index; returns bytes."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": False}))
    rng, places, total = np.random.default_rng(0), {}, 0
    tensors = list(shapes().items())
    for k in range(SHARDS):
        mine = tensors[k::SHARDS]
        name = f"model-{k + 1:05d}-of-{SHARDS:05d}.safetensors"
        header, at = {}, 0
        for key, shape in mine:
            size = 2 * shape[0] * shape[1]
            header[key] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
            at, places[key] = at + size, name
        raw = json.dumps(header).encode()
        raw += b" " * (-len(raw) % 8)
        with (folder / name).open("wb") as file:
            file.write(len(raw).to_bytes(8, "little") + raw)
            for _, (rows, columns) in mine:
                for start in range(0, rows, 1024):
                    part = rng.standard_normal((min(1024, rows - start), columns), dtype=np.float32) * 0.02
                    file.write((part.view(np.uint32) >> 16).astype("<u2").tobytes())
            file.flush()
            os.fsync(file.fileno())
        total += (folder / name).stat().st_size
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def cold(folder: Path) -> None:
    """Drop the pages of every file of the folder from the cache."""
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def sequential(folder: Path) -> float:
    """Seconds to read every byte in order, cold."""
    cold(folder)
    begun = time.perf_counter()
    buffer = bytearray(BLOCK)
    for path in sorted(folder.iterdir()):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - begun


def run(*words: str) -> tuple[float, int]:
    """Seconds and peak anonymous memory (bytes, sampled each 5 ms) of a command of this program."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, 1024 * int(line.split()[1]))
        except OSError:
            pass
        time.sleep(0.005)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{words}: exit {process.returncode}")
    return time.perf_counter() - begun, peak


def main() -> None:
    largest = max(8 * a * b for a, b in shapes().values())
    with tempfile.TemporaryDirectory(dir=os.environ.get("OPALESCE_BIG")) as home:
        folder = Path(home) / "step1000"
        total = make(folder)
        disk, reads = [], []
        for _ in range(5):  # in turns: a disk behind other caches is not equally fast at all times
            disk.append(sequential(folder))
            cold(folder)
            reads.append(run("check", str(folder), "--full"))
        share = float(np.median([d / took for d, (took, _) in zip(disk, reads, strict=True)]))
        took, peak = float(np.median([t for t, _ in reads])), max(p for _, p in reads)
        measured, anon = run("measure", str(folder), "--out", f"{home}/out")
    lines = [
        "---", "orphan: true", "---", "", "# A 3 GB checkpoint", "",
        "Made by `python -m benchmarks.sharded`; do not edit. "
        f"{len(shapes())} tensors in {SHARDS} shards, BF16, {total / 1e9:.2f} GB; the largest tensor takes "
        f"{largest / 1e6:.0f} MB in float64. One worker, page cache dropped before each read.", "",
        "| what | measured | against | ratio |", "| --- | --- | --- | --- |",
        f"| peak anonymous memory of `measure`, all observables of weights | {anon / 1e6:.0f} MB "
        f"| largest tensor in float64 | {anon / largest:.2f} |",
        f"| peak anonymous memory of `check --full` | {peak / 1e6:.0f} MB | the same "
        f"| {peak / largest:.2f} |",
        f"| rate of `check --full`, cold, start included | {total / took / 1e6:.0f} MB/s "
        f"| sequential read, {total / np.median(disk) / 1e6:.0f} MB/s | {share:.2f}, median of five turns |",
        "", f"Seconds: sequential {', '.join(f'{d:.1f}' for d in disk)}; "
        f"check {', '.join(f'{r[0]:.1f}' for r in reads)}; measure {measured:.0f}.",
    ]  # fmt: skip
    (ROOT / "docs" / "sharded.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
