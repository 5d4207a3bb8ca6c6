"""Trees of arrays, as JAX programs save them: which leaves are weights, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable

# parts of a saved training state that are not weights
_BESIDE = {"opt_state", "optimizer", "optimizer_state", "opt", "tx", "rng", "step", "ema_opt_state"}
_HOMES = ("params", "model", "target", "variables")


def weights(leaves: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Names of the leaves that hold weights: those below `params` where there is one, else all others.

    The name joins the keys by dots, without the first key.
    """
    found = list(leaves)
    tops = {keys[0] for keys in found}
    home = next((h for h in _HOMES if h in tops and any(k[0] == h and len(k) > 1 for k in found)), None)
    if home is not None:
        return {k: ".".join(k[1:]) for k in found if k[0] == home and len(k) > 1}
    return {k: ".".join(k) for k in found if k[0] not in _BESIDE}


def plain(key: object) -> bool:
    """Whether a key may be part of a path: a word without separators."""
    return isinstance(key, str) and key not in ("", ".", "..") and not set(key) & set("/\\\0")
