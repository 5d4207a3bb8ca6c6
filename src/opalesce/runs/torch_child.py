"""The child that opens one torch pickle: `python -m opalesce.runs.torch_child IN OUT MEMORY SECONDS`.

It limits its own memory, processor time and output, leaves the network where the kernel permits that (an
unprivileged user namespace; where not, it keeps it), reads with `weights_only=True`, writes tensors as one
safetensors file and prints one line of JSON. Nothing it prints is trusted by its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError
from opalesce.runs.writing import Part, write_parts

HOMES = ("state_dict", "model_state_dict", "model", "module", "network", "ema_state_dict")
WRAPS = ("module.", "_orig_mod.")  # put in front of every name by data parallelism and by compilation
DEPTH = 8
_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32",
    "uint64": "U64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


def confine(memory: int, seconds: int, output: int) -> None:
    """Take away what reading a file of weights does not need."""
    limits = (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, output),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    )
    for what, limit in limits:
        hard = resource.getrlimit(what)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (limit, limit))


def leave_network() -> None:
    """Into a network namespace without interfaces; silently stays where that is forbidden."""
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    if unshare is not None and unshare(_NEWNET) != 0:
        unshare(_NEWUSER | _NEWNET)


def convert(path: Path, out: Path) -> None:
    """Read `path` and write its tensors to `out`.

    Raises
    ------
    FormatError
        With the reason, for anything that is not a plain state of weights.
    """
    import torch

    archive = _stored(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except MemoryError:
        raise
    except Exception as error:  # a hostile pickle may make torch raise anything
        text = str(error)
        if "weights_only" in text.lower() or "unsupported" in text.lower():
            raise FormatError(
                "it is no plain state of tensors: there are objects in it, or it is broken",
                expected="a state dict, as torch.save(model.state_dict()) writes",
                got=type(error).__name__,
                fix="save the state dict, or convert it to safetensors where you trust it",
            ) from None
        raise FormatError(
            "torch cannot read it", got=f"{type(error).__name__}: {ascii(text)[1:90]}"
        ) from None
    tensors = dict(_flat(_state(content), "", 0))
    for wrap in WRAPS:
        if tensors and all(k.startswith(wrap) for k in tensors):
            tensors = {k.removeprefix(wrap): t for k, t in tensors.items()}
    if not tensors:
        raise FormatError("it holds no tensor", expected="a state dict", got=type(content).__name__)
    parts = [_part(name, t) for name, t in tensors.items()]
    parts.sort(key=lambda p: -(p.nbytes // max(1, _count(p.shape))))  # widest first: aligned
    total, size = sum(p.nbytes for p in parts), path.stat().st_size
    if total > 2 * size + (1 << 20):  # tied weights are written twice, a bomb a thousand times
        raise FormatError(
            "its tensors are larger than the file", expected=f"at most {2 * size} bytes", got=str(total)
        )
    write_parts(out, parts)


def _stored(path: Path) -> bool:
    """Whether the file is an archive, all of it stored as it is: what torch.save has written since 1.6."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as z:
            members = z.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, UnicodeDecodeError) as error:
        raise FormatError("its archive is broken", got=type(error).__name__) from None
    packed = any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members)
    if packed or sum(m.file_size for m in members) > path.stat().st_size:
        raise FormatError(
            "its archive is compressed or overlaps itself", expected="members stored as they are (torch.save)"
        )
    return True


def _state(content: Any) -> Mapping[Any, Any]:
    """The part of what was saved that holds the weights."""
    for _ in range(DEPTH):
        if not isinstance(content, Mapping):
            break
        if set(content) >= {"state", "param_groups"}:
            raise FormatError(
                "it is the state of an optimizer, not weights", expected="a state dict of a model",
                got="state and param_groups", fix="open the file of the model beside it",
            )  # fmt: skip
        inner = next((content[h] for h in HOMES if isinstance(content.get(h), Mapping)), None)
        if inner is None:
            return content
        content = inner
    raise FormatError("it holds no state dict", expected="names and tensors", got=type(content).__name__)


def _flat(state: Mapping[Any, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
    import torch

    for key, value in state.items():
        name = f"{before}{key}"
        if isinstance(value, torch.Tensor):
            yield name, value
        elif isinstance(value, Mapping) and depth < DEPTH:
            yield from _flat(value, f"{name}.", depth + 1)


def _part(name: str, tensor: Any) -> Part:
    import torch

    dtype = _DTYPES.get(str(tensor.dtype).removeprefix("torch."))
    if dtype is None or tensor.layout != torch.strided or tensor.is_quantized:
        raise FormatError(
            f"tensor {ascii(name)[:80]} is stored in a way that is not read here",
            expected="a dense tensor of floats or integers",
            got=f"{tensor.dtype}, {tensor.layout}",
        )
    nbytes = tensor.numel() * tensor.element_size()
    if nbytes > tensor.untyped_storage().nbytes():
        raise FormatError(
            f"tensor {ascii(name)[:80]} is larger than what is stored of it", got=f"{nbytes} bytes"
        )

    def data() -> memoryview:
        return memoryview(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy())

    return Part(name, dtype, tuple(tensor.shape), nbytes, data)


def _count(shape: tuple[int, ...]) -> int:
    n = 1
    for side in shape:
        n *= side
    return n


def main(argv: list[str]) -> int:
    """Convert, and print {} or {"what": ..., "expected": ..., "got": ..., "fix": ...}."""
    source, target = Path(argv[0]), Path(argv[1])
    os.umask(0o077)
    leave_network()
    confine(int(argv[2]), int(argv[3]), 2 * source.stat().st_size + (1 << 24))
    try:
        convert(source, target)
    except FormatError as error:
        told = {"what": error.what, "expected": error.expected, "got": error.got, "fix": error.fix}
    except MemoryError:
        told = {"what": "it needs more memory than it may have", "got": f"more than {argv[2]} bytes"}
    except Exception as error:  # whatever it is, it is the file's
        told = {"what": "it cannot be converted", "got": f"{type(error).__name__}: {ascii(str(error))[1:90]}"}
    else:
        told = {}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
