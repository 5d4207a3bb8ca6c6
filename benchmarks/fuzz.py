"""Coverage-guided fuzzing (atheris) of every parser of hostile bytes, and of what writes hostile names.

`python -m benchmarks.fuzz --inputs 1000000` runs each target in a process of its own, from sound files as
seeds, with an alarm after one second of the processor, and writes `docs/fuzzing.md`. It needs the extra
`[fuzz]`; without atheris (it has wheels for Linux) it says so and exits with status 2. A target may return or
raise `OpalesceError`.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.tables import markdown

Target = tuple[Callable[[bytes], object], list[bytes]]  # the call, and sound inputs
ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "fuzzing.md"
SECONDS = 1.0  # of the processor, that an input may take
LONGEST = 4096  # bytes of an input
COMPILED = ["opalesce.runs.tfevents", "opalesce.runs.survey"]  # numba takes no instrumented code


class Late(BaseException):
    """An input took too long; no reader may catch this."""


def readers(folder: Path) -> dict[str, Target]:
    """Target -> (call on bytes, seeds): readers of logs, readers of weights, writers of names."""
    from tests.runs.reader_list import READERS, file_of
    from tests.runs.real_files import samples
    from tests.runs.weight_readers import WEIGHT_READERS

    def on_file(read: Callable[[Path], object], path: Path) -> Callable[[bytes], object]:
        path.parent.mkdir(parents=True, exist_ok=True)

        def call(data: bytes) -> object:
            path.write_bytes(data)
            return read(path)

        return call

    folder.mkdir(parents=True)
    sound = samples(folder)
    out: dict[str, Target] = {}
    for name, read in READERS.items():
        place = file_of(name, folder / str(len(out)))
        out[name] = on_file(read, place), [sound[name]] if name in sound else [_record(_event())]
    for name, (read, whole) in WEIGHT_READERS.items():
        out[name] = on_file(read, folder / str(len(out)) / name.split()[-1]), [whole]
    out |= _framed(folder, out)
    names = [b"</script><script>x", b"=1+1", b"\xe2\x80\xaegnp", b"%{x}<b>&lt;", b"\x1b[2J", b"$a$ ${b}"]
    out["escaping page"] = escaped_page, names
    out["escaping table and terminal"] = escaped_text, names
    return out


def _framed(folder: Path, known: Mapping[str, Target]) -> dict[str, Target]:
    """The same readers inside their frames, which a fuzzer seldom makes: lengths, checksums, compression."""
    from opalesce.runs.header import parse_header

    header = known["safetensors header model.safetensors"][1][0]
    events, gz = known["tensorboard events.out.tfevents.1"], known["csv packed.csv.gz"]
    return {
        "inside a safetensors header": (lambda d: parse_header(d, 8 + len(d) + 19), [header[8:-19]]),
        "inside a TFRecord": (lambda d: events[0](_record(d)), [_event()]),
        "inside a gzip": (lambda d: gz[0](gzip.compress(d, 1)), [gzip.decompress(gz[1][0])]),
    }


def _event() -> bytes:
    """One TensorBoard scalar, by the library that writes them."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    value = Summary(value=[Summary.Value(tag="loss", simple_value=3.5)])
    return bytes(Event(step=3, wall_time=1.0, summary=value).SerializeToString())


def _record(data: bytes) -> bytes:
    from opalesce.runs.tfevents import masked

    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked(head)) + data + struct.pack("<I", masked(data))


def escaped_page(data: bytes) -> None:
    """A name in the page: no way out of a script, the same name after it is read back, no tag in a label."""
    from opalesce.report.clean import clean, plotly_text, script_json, to_json
    from opalesce.report.paper_plots import _short

    text = data.decode("utf-8", "surrogateescape")
    shown = clean(text)
    written = script_json({text: [text]})
    assert not set(written) & set("<>&\u2028\u2029"), written
    assert json.loads(written) == json.loads(to_json({text: [text]})) == {shown: [shown]}
    written.encode("utf-8")
    label = plotly_text(text)
    assert not re.search("[<>]|%{", label), label
    assert html.unescape(label) == html.unescape(label.replace("%&#123;", "%{")), label
    assert re.fullmatch(r"[^\n]{0,36}", _short(text)), text


def escaped_text(data: bytes) -> None:
    """A name in a table and on a terminal: no formula, no control character, no mark that reorders."""
    from opalesce.cli.terminal import printable
    from opalesce.measure.table import _text

    text = data.decode("utf-8", "surrogateescape")
    cell = _text(text)
    assert not re.match(r"\s*[=+\-@\t\r\n＝＋－＠]", cell), ascii(cell)
    assert cell.isprintable(), ascii(cell)
    assert all(c.isprintable() or c in "\n\t" for c in printable(text)), ascii(text)


def one(name: str, inputs: int, seconds: int, note: Path, home: Path) -> None:
    """Fuzz one target in this process, which atheris ends. `note` is written after every 1000 inputs."""
    import atheris

    with atheris.instrument_imports(include=["opalesce.runs", "opalesce.report.clean"], exclude=COMPILED):
        from opalesce.errors import OpalesceError
        from opalesce.runs import scan  # noqa: F401  every reader, instrumented

    call, seeds = readers(home)[name]
    corpus = home / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(seeds):
        (corpus / str(i)).write_bytes(seed)
        call_safely(call, seed, OpalesceError)
    seen = {"inputs": 0, "refused": 0, "slowest": 0.0, "since": time.monotonic()}

    def late(*_: object) -> None:
        raise Late(f"more than {SECONDS} s")

    signal.signal(signal.SIGPROF, late)

    def target(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        start = time.process_time()
        try:
            seen["refused"] += call_safely(call, data, OpalesceError)
        except BaseException as error:
            _write(note, {**seen, "crash": f"{type(error).__name__}: {ascii(str(error))[:200]}"})
            note.with_suffix(".input").write_bytes(data)
            raise
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        seen["slowest"] = max(seen["slowest"], time.process_time() - start)
        seen["inputs"] += 1
        if seen["inputs"] % 1000 == 0 or seen["inputs"] == inputs:
            _write(note, seen)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        """Every other input starts from a sound file: one regular expression has no branches to follow."""
        rng = random.Random(seed)
        return bytes(atheris.Mutate(rng.choice(seeds) if rng.random() < 0.5 else data, most))

    # instrumented code keeps about 4 kB an input, the same code as it is nothing (replayed): hence the limit
    words = [sys.argv[0], f"-runs={inputs}", f"-max_len={LONGEST}", "-rss_limit_mb=10240", "-timeout=30"]
    words += ["-malloc_limit_mb=1024", f"-artifact_prefix={note.parent}/"]
    words += [*([f"-max_total_time={seconds}"] if seconds else []), str(corpus)]
    atheris.Setup(words, target, custom_mutator=mutate)
    atheris.Fuzz()


def call_safely(call: Callable[[bytes], object], data: bytes, expected: type[Exception]) -> bool:
    """Whether the documented error came; any other error passes."""
    try:
        call(data)
    except expected:
        return True
    return False


def _write(note: Path, seen: Mapping[str, Any]) -> None:
    part = note.with_suffix(".part")
    part.write_text(json.dumps({**seen, "took": time.monotonic() - seen["since"]}))
    os.replace(part, note)


def table(found: Mapping[str, Mapping[str, Any]], asked: int) -> str:
    """The page: what was run, and what came of it."""
    rows = []
    for name, seen in found.items():
        share = f"{100 * seen['refused'] / max(1, seen['inputs']):.0f} %"
        crash = seen.get("crash", "0")
        rows.append(
            [name, f"{seen['inputs']:,}", share, crash, f"{seen['slowest']:.2f} s", f"{seen['took']:.0f} s"]
        )
    head = ["target", "inputs", "refused", "crashes", "slowest input", "time"]
    short = [n for n, s in found.items() if s["inputs"] < asked]
    said = (
        "Every target got them all."
        if not short
        else f"{len(short)} of {len(found)} targets got fewer here, as the table says, for want of time: "
        "`make validate` runs them all."
    )
    return f"""# Fuzzing

Parsers of what strangers wrote, and writers of names that strangers chose, under coverage-guided fuzzing
(atheris): each target in a process of its own, from sound files, inputs of at most {LONGEST} bytes,
{SECONDS:g} s of the processor an input. A crash is any error but the documented one (`OpalesceError`), a name
that gets out of its place, an input that takes longer, or a process that ends otherwise (memory included).
Asked for: {asked:,} inputs a target.
{said}

{markdown(head, rows)}

"Refused" is the share of inputs that met the documented error; the others were read. Made by
`python -m benchmarks.fuzz --inputs {asked}`; the extra `[fuzz]` brings atheris. `make test` runs hypothesis
with 10,000 examples on the header, the shard index, CSV, JSONL and escaping.
"""


def main() -> int:
    """Each target in a child; 1 when one of them crashed."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--inputs", type=int, default=1_000_000)
    words.add_argument("--seconds", type=int, default=0, help="of each target at most (0: no limit)")
    words.add_argument("--jobs", type=int, default=2)
    words.add_argument("--targets", default="", help="a part of their names")
    words.add_argument("--notes", type=Path, default=ROOT / "validation" / "fuzz")
    words.add_argument("--one", default="", help=argparse.SUPPRESS)
    words.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    asked = words.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("atheris is not installed: pip install 'opalesce[fuzz]'", file=sys.stderr)
        return 2
    asked.notes.mkdir(parents=True, exist_ok=True)
    if asked.one:
        one(asked.one, asked.inputs, asked.seconds, _note(asked.notes, asked.one), asked.home)
        return 0
    memory = Path("/dev/shm")  # a disk takes five times as long as most readers
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None) as folder:
        every = list(readers(Path(folder) / "list"))
        names = [n for n in every if asked.targets in n]
        ended = _children(names, asked, Path(folder))
    found = {
        n: json.loads(_note(asked.notes, n).read_text()) for n in every if _note(asked.notes, n).exists()
    }
    OUT.write_text(table(found, asked.inputs), "utf-8")
    bad = {n: f"the process ended with status {code}, see its log" for n, code in ended.items() if code}
    bad |= {n: "none ran" for n in names if n not in found}
    bad |= {n: s["crash"] for n, s in found.items() if "crash" in s}
    for name, why in bad.items():
        print(f"{name}: {why}", file=sys.stderr)
    return int(bool(bad))


def _children(names: list[str], asked: argparse.Namespace, folder: Path) -> dict[str, int]:
    """Exit status of a process for each target, `asked.jobs` at a time."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    for i, name in enumerate(names):
        while sum(p.poll() is None for p in running.values()) >= asked.jobs:
            time.sleep(0.2)
        note = _note(asked.notes, name)
        note.unlink(missing_ok=True)
        more = ["--inputs", str(asked.inputs), "--seconds", str(asked.seconds), "--notes", str(asked.notes)]
        more += ["--one", name, "--home", str(folder / str(i))]
        with note.with_suffix(".log").open("wb") as log:
            running[name] = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fuzz", *more], stdout=log, stderr=log, cwd=ROOT
            )
    return {name: process.wait() for name, process in running.items()}


def _note(folder: Path, name: str) -> Path:
    return folder / (re.sub(r"\W+", "-", name) + ".json")


if __name__ == "__main__":
    raise SystemExit(main())
