"""Zip archives from strangers: their members in memory, within limits, never on disk."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from opalesce.errors import FormatError

MAX_MEMBERS = 100_000
MAX_MEMBER = 500_000_000  # bytes, unpacked
MAX_TOTAL = 2_000_000_000  # bytes of all members that are read, unpacked
MAX_RATIO = 200  # deflate on text gives 3 to 20; a bomb 1000


class Archive:
    """A zip file whose members are read one by one.

    Raises
    ------
    FormatError
        When it is no zip file, has too many members, or a member's name leads out of it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.spent = path, 0
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
            raise self._bad("a zip file", str(error)[:100]) from error
        infos = self.zip.infolist()
        if len(infos) > MAX_MEMBERS:
            self.close()
            raise self._bad(f"at most {MAX_MEMBERS} members", f"{len(infos)}")
        self.infos = {i.filename: i for i in infos}
        for name in self.infos:
            pure = PurePosixPath(name.replace("\\", "/"))
            if pure.is_absolute() or ".." in pure.parts or name[1:2] == ":":
                self.close()
                raise self._bad("names inside the archive", repr(name)[:80])

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.zip.close()

    def read(self, name: str) -> bytes:
        """A member, unpacked in memory.

        Raises
        ------
        FormatError
            When it is missing, broken, locked, too large, or packed beyond belief.
        """
        info = self.infos.get(name)
        if info is None:
            raise self._bad(f"a member {name}", ", ".join(list(self.infos)[:5])[:200])
        limit = min(MAX_MEMBER, MAX_TOTAL - self.spent, MAX_RATIO * max(info.compress_size, 1000))
        if info.file_size > limit:
            raise self._bad(f"at most {limit} bytes in {name}", f"{info.file_size} from {info.compress_size}")
        try:
            with self.zip.open(info) as file:
                data = file.read(limit + 1)  # what the entry states need not be true
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, zlib.error, EOFError) as error:
            raise self._bad(f"a whole member {name}", str(error)[:100] or type(error).__name__) from error
        except Exception as error:  # lzma and bz2 have errors of their own
            raise self._bad(f"a member {name} that can be unpacked", type(error).__name__) from error
        if len(data) > limit:
            raise self._bad(f"at most {limit} bytes in {name}", "more")
        self.spent += len(data)
        return data

    def _bad(self, expected: str, got: str) -> FormatError:
        return FormatError(f"{self.path}: an archive that is not opened", expected=expected, got=got)
