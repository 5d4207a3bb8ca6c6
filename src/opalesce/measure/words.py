"""A word-level vocabulary, in a file that the tokenizers library reads too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError, InputError
from opalesce.runs.bounded import read_json, real


@dataclass(frozen=True)
class Words:
    """Tokens are words between spaces; written and read as a `tokenizer.json` (WordLevel)."""

    ids: dict[str, int]
    unknown: str | None = None

    def encode(self, text: str) -> list[int]:
        """Token ids.

        Raises
        ------
        InputError
            A word that the vocabulary does not hold, when it has no unknown token.
        """
        words = text.split()
        strange = [w for w in words if w not in self.ids]
        if strange and self.unknown is None:
            raise InputError(
                f"the vocabulary has no word {strange[0]!r}",
                expected=f"words such as {', '.join(list(self.ids)[:5])}",
                got=f"{len(strange)} unknown of {len(words)} words",
            )
        return [self.ids[w] if w in self.ids else self.ids[self.unknown or ""] for w in words]

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`, in the form that the tokenizers library reads too."""
        document: dict[str, Any] = {
            "version": "1.0",
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": None,
            "decoder": None,
            "model": {"type": "WordLevel", "vocab": self.ids, "unk_token": self.unknown or ""},
        }
        (folder / "tokenizer.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Words:
        """Read `tokenizer.json`.

        Raises
        ------
        FormatError
            Missing, or not a word-level vocabulary.
        """
        path = folder / "tokenizer.json"
        try:
            if real(path).parent != real(folder):
                raise ValueError("a link that leads out of its folder")
            model = read_json(path)["model"]
            ids = {str(k): int(v) for k, v in model["vocab"].items()}
            kind, unknown = model["type"], model.get("unk_token") or None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, InputError) as error:
            raise FormatError(f"{path} cannot be read as a vocabulary", got=str(error)) from error
        if kind != "WordLevel":
            raise FormatError(
                f"{path} is not a word-level vocabulary",
                expected="model type WordLevel",
                got=str(kind)[:80],
                fix="pip install 'opalesce[hf]'",
            )
        return cls(ids, unknown if isinstance(unknown, str) and unknown in ids else None)
