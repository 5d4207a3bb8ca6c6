"""Tensors that are not weights by themselves: packed integers, and what is needed to unpack them.

Recognised by their names: GPTQ and AWQ (`qweight`, `qzeros`, `scales`, `g_idx`), bitsandbytes (`absmax`,
`quant_map`, `SCB`), compressed-tensors (`weight_packed`), MXFP4 (`_blocks`, `_scales`), and the scales of
eight-bit floats, which their reader applies. Spectra of packed integers mean nothing, so they are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from opalesce.runs.float8 import SUFFIXES
from opalesce.runs.header import EIGHT
from opalesce.runs.run import TensorInfo

_BNB = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map")


@dataclass(frozen=True)
class Packed:
    """Why a tensor is not measured, and how many weights it holds (0: it only helps to unpack others).

    `kind` is the same reason in a few words.
    """

    why: str
    parameters: int = 0
    kind: str = "packed integers (quantised)"


def packed(tensors: Mapping[str, TensorInfo], config: Mapping[str, object]) -> dict[str, Packed]:
    """The tensors that are not weights by themselves, by name."""
    out: dict[str, Packed] = {}
    for name, info in tensors.items():
        base, _, last = name.rpartition(".")
        n = math.prod(info.shape)
        if last == "qweight" and f"{base}.scales" in tensors:
            method = _method(config) or ("GPTQ" if f"{base}.g_idx" in tensors else "GPTQ or AWQ")
            _whole(out, name, method, n * 32 // _bits(base, tensors, config))
            _parts(out, tensors, name, [f"{base}.{x}" for x in ("qzeros", "scales", "g_idx")])
        elif last == "weight_packed":
            _whole(out, name, "compressed-tensors", n * 32 // _bits(base, tensors, config))
            beside = [f"{base}.weight_{x}" for x in ("scale", "shape", "zero_point", "g_idx", "global_scale")]
            _parts(out, tensors, name, beside)
        elif info.dtype in ("U8", "I8") and f"{name}.absmax" in tensors:
            _whole(out, name, "bitsandbytes", 2 * n if f"{name}.quant_map" in tensors else n)
            state = [t for t in tensors if t.startswith(f"{name}.quant_state.")]
            _parts(out, tensors, name, [f"{name}{x}" for x in _BNB] + state)
        elif info.dtype == "I8" and f"{base}.SCB" in tensors:
            _whole(out, name, "bitsandbytes", n)
            _parts(out, tensors, name, [f"{base}.SCB", f"{base}.weight_format"])
        elif info.dtype == "U8" and name.endswith("_blocks") and f"{name[:-7]}_scales" in tensors:
            _whole(out, name, "MXFP4", 2 * n)
            _parts(out, tensors, name, [f"{name[:-7]}_scales"])
        elif info.dtype.startswith(("F8_E4M3", "F8_E5M2")):
            scales = [name + s for s in SUFFIXES if name + s in tensors]
            _parts(out, tensors, name, [*scales, f"{base}.input_scale"])
            if not scales or info.dtype not in EIGHT:
                why = f"{name} is stored as {info.dtype} without scales read here: its values mean nothing"
                out[name] = Packed(why, n, "eight-bit floats without scales")
    return out


def _whole(out: dict[str, Packed], name: str, method: str, parameters: int) -> None:
    why = (
        f"{name} is packed by {method}: its integers are codes, not weights, and have no spectrum; "
        "open the model before it was quantised, or unpack it with the library that packed it"
    )
    out[name] = Packed(why, parameters)


def _parts(out: dict[str, Packed], tensors: Mapping[str, TensorInfo], of: str, names: list[str]) -> None:
    out.update({n: Packed(f"{n} only helps to unpack {of}") for n in names if n in tensors})


def _settings(config: Mapping[str, object]) -> Mapping[str, object]:
    found = config.get("quantization_config")
    return found if isinstance(found, Mapping) else {}


def _method(config: Mapping[str, object]) -> str:
    said = _settings(config).get("quant_method")
    return {"gptq": "GPTQ", "awq": "AWQ"}.get(said, "") if isinstance(said, str) else ""


def _bits(base: str, tensors: Mapping[str, TensorInfo], config: Mapping[str, object]) -> int:
    """Bits of one code: as configured, else from the widths of zeros and scales; 4 where neither says it."""
    said = _settings(config).get("bits")
    if isinstance(said, int) and said in (2, 3, 4, 8):
        return said
    zeros, scales = tensors.get(f"{base}.qzeros"), tensors.get(f"{base}.scales")
    if zeros is not None and scales is not None and scales.shape and scales.shape[-1]:
        wide = 32 * zeros.shape[-1] // scales.shape[-1] if zeros.shape else 0
        if wide in (2, 3, 4, 8):
            return wide
    return 4
