"""The private folder of checkpoints that were converted to safetensors: made once, found again."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from opalesce.errors import InputError, StoreError


def target(path: Path) -> Path:
    """Where the safetensors file made of `path` is or will be: one for each name, size and time of it.

    Raises
    ------
    InputError
        The file cannot be read.
    StoreError
        The folder cannot be made, or belongs to somebody else.
    """
    try:
        seen = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read", got=error.strerror or type(error).__name__) from error
    words = f"{path.resolve()}|{seen.st_size}|{seen.st_mtime_ns}|{seen.st_ino}"
    return _folder() / f"{hashlib.blake2b(words.encode(), digest_size=16).hexdigest()}.safetensors"


def _folder() -> Path:
    """This user's folder, closed to others: OPALESCE_CACHE, by default ~/.cache/opalesce."""
    said = os.environ.get("OPALESCE_CACHE")
    base = (
        Path(said) if said else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opalesce"
    )
    folder = base / "converted"
    fix = "OPALESCE_CACHE=FOLDER names another"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = folder.lstat()
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid():
            raise StoreError("the folder of converted files is not yours", got=str(folder), fix=fix)
        folder.chmod(0o700)
    except OSError as error:
        raise StoreError(
            "the folder of converted files cannot be made", got=f"{folder}: {error}", fix=fix
        ) from error
    return folder
