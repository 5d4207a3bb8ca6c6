"""Configurations in YAML (`hparams.yaml`, W&B's `config.yaml`): plain values, no object is built."""

from __future__ import annotations

from pathlib import Path

from opalesce.errors import FormatError, MissingExtra
from opalesce.runs.bounded import flat_enough

MAX_YAML = 200_000
_MAX_ALIASES = 100  # an alias of aliases of aliases is small to write and endless to walk


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file; W&B's `{value: ...}` around each value is taken off.

    Raises
    ------
    MissingExtra
        Without PyYAML.
    FormatError
        When the file is too large, no mapping, or has tags of objects.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("PyYAML", "yaml") from error
    if path.stat().st_size > MAX_YAML:
        raise FormatError(f"{path}: too large for a configuration", expected=f"at most {MAX_YAML} bytes")
    try:
        text = path.read_text("utf-8-sig")
        aliases = sum(isinstance(t, yaml.AliasToken) for t in yaml.scan(text, yaml.SafeLoader))
        if aliases > _MAX_ALIASES:
            raise FormatError(f"{path}: more than {_MAX_ALIASES} aliases", got=str(aliases))
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        got = str(error)[:100]
        raise FormatError(f"{path}: not plain YAML", expected="names and values", got=got) from error
    if not isinstance(content, dict):
        raise FormatError(f"{path}: no mapping", expected="names and values", got=type(content).__name__)
    flat_enough(content, str(path), MAX_YAML)
    out: dict[str, object] = {}
    for name, value in content.items():
        if name not in ("_wandb", "wandb_version"):
            wrapped = isinstance(value, dict) and "value" in value and len(value) <= 2
            out[str(name)] = value["value"] if wrapped else value
    return out
