"""A model and its tokenizer from a folder: the small decoder where it fits, else the transformers library.

Nothing is downloaded and no pickle is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.errors import FormatError, InputError, MissingExtra
from opalesce.runs.bounded import parse_json, read_bytes, read_json

Encode = Callable[[str], list[int]]
MAX_CONFIG = 10_000_000  # bytes
MAX_PROMPTS = 100_000_000
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


def load_model(folder: Path) -> tuple[Any, Encode | None]:
    """A causal language model in evaluation mode, and the function that turns text into token ids.

    The second is None where the folder holds no tokenizer.

    Raises
    ------
    InputError, FormatError
        No such folder, no `config.json`, weights only as a pickle, or weights that do not fit.
    MissingExtra
        torch, or transformers for a model that the small decoder is not.
    """
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise InputError(
            "no model here", expected="a folder with config.json and .safetensors weights", got=str(folder)
        )
    if not any(folder.rglob("*.safetensors")):
        pickles = [p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
        raise FormatError(
            f"{folder.name} holds no safe weights",
            expected=".safetensors",
            got=f"{', '.join(pickles[:3])}, which could run code when opened" if pickles else "none",
            fix="convert it with model.save_pretrained(folder, safe_serialization=True)",
        )
    try:
        config = read_json(folder / "config.json", MAX_CONFIG)
    except FormatError as error:
        what = f"{folder.name}/config.json is not JSON"
        raise FormatError(what, expected=error.expected, got=error.got) from error
    if not isinstance(config, dict):
        raise FormatError(f"{folder.name}/config.json is no object", got=type(config).__name__)
    if config.get("model_type") == "llama":
        from opalesce.measure.decoder import load

        try:
            return load(folder), _words(folder)
        except FormatError as error:
            if "plain LLaMA decoder" not in error.what:
                raise
    return _from_transformers(folder)


def _words(folder: Path) -> Encode | None:
    """Encoder from `tokenizer.json`: word-level here, else by the library; None without the file."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    from opalesce.measure.words import Words

    try:
        return Words.load(folder).encode
    except FormatError:
        tokenizer = _transformers().PreTrainedTokenizerFast(tokenizer_file=str(path))
        return lambda text: [int(i) for i in tokenizer(text)["input_ids"]]


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra("transformers", "hf") from error
    return transformers


def _from_transformers(folder: Path) -> tuple[Any, Encode | None]:
    library = _transformers()
    library.utils.logging.disable_progress_bar()
    try:
        model = library.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise FormatError(
            f"{folder.name} cannot be loaded as a causal language model",
            expected="a config that the transformers library knows, and weights that fit it",
            got=str(error).splitlines()[0],
        ) from error
    finally:
        library.utils.logging.enable_progress_bar()
    model = model.float().eval()
    model.config.use_cache = False
    if not any((folder / name).is_file() for name in TOKENIZERS):
        return model, None  # the library would make one of nothing
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError):
        return model, _words(folder)
    return model, lambda text: [int(i) for i in tokenizer(text)["input_ids"]]


def random_weights(model: Any, seed: int) -> Any:
    """A copy whose weight matrices are redrawn normal, each with its own mean and standard deviation.

    Vectors (gains, biases) stay. What survives here is of the architecture and of the sizes of the weights,
    not of what was learned. Tied matrices stay tied.
    """
    import torch

    twin = deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in twin.parameters():
            if p.ndim >= 2:
                noise = torch.randn(p.shape, generator=generator, dtype=torch.float32).to(p.device, p.dtype)
                p.copy_(p.mean() + p.std() * noise)
    return twin.eval()


def shuffled_tokens(prompts: Sequence[Sequence[int]], rng: np.random.Generator) -> list[list[int]]:
    """Every prompt with its tokens in random order: the same words, no text."""
    return [[int(i) for i in rng.permutation(np.asarray(p))] for p in prompts]


def read_prompts(path: Path, encode: Encode | None) -> list[list[int]]:
    """Prompts from a text file, one a line, or `.jsonl` with {"text": ...} or {"tokens": [...]}.

    Raises
    ------
    InputError, FormatError
        No such file, nothing in it, a line that is neither, or text without a tokenizer.
    """
    if not path.is_file():
        raise InputError("no such file of prompts", expected="a text file or .jsonl", got=str(path))
    try:
        text_of = read_bytes(path, MAX_PROMPTS).decode("utf-8")
        lines = [line for line in text_of.splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise FormatError(f"{path.name} is not text", expected="UTF-8", got=str(error)) from error
    out = []
    for number, line in enumerate(lines, 1):
        row: Any = {"text": line}
        if path.suffix == ".jsonl":
            try:
                row = parse_json(line, f"{path.name}, line {number}")
            except FormatError as error:
                what = f"{path.name}, line {number} is not JSON"
                raise FormatError(what, expected=error.expected, got=error.got) from error
        ids = row.get("tokens") if isinstance(row, dict) else None
        text = row.get("text") if isinstance(row, dict) else None
        if isinstance(ids, list) and ids and all(isinstance(i, int) and 0 <= i < 2**31 for i in ids):
            out.append([int(i) for i in ids])
        elif isinstance(text, str) and encode is not None:
            out.append(encode(text))
        else:
            raise InputError(
                f"{path.name}, line {number} is no prompt",
                expected='{"text": "..."} or {"tokens": [1, 2, ...]}'
                if encode is not None
                else '{"tokens": [1, 2, ...]} (the model has no tokenizer)',
                got=line[:60],
            )
    if not out:
        raise InputError(f"{path.name} holds no prompts", expected="one a line")
    return out
