"""`python watched.py NOTES WORDS...`: the command line, with everything it opens, runs or calls noted.

Python's audit hook sees each file, process, socket and pickled global before it is touched, also those of
libraries written in Python; what C code opens by itself is not seen, so a test looks at the files too.
"""

from __future__ import annotations

import json
import os
import sys

SEEN: list[tuple[str, str, str]] = []
RUN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pty.spawn", "pickle.find_class")
NET = ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto", "urllib.Request")
CHANGE = {"rename", "remove", "mkdir", "rmdir", "symlink", "link", "truncate", "chmod"}


def hook(event: str, given: tuple[object, ...]) -> None:
    """Note one event."""
    if event == "open" and isinstance(given[0], str | bytes):
        flags = given[2] if isinstance(given[2], int) else 0
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        SEEN.append(("write" if writes else "read", os.path.realpath(os.fsdecode(given[0])), ""))
    elif event.startswith("os.") and event[3:] in CHANGE:
        for place in given[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
            if isinstance(place, str | bytes):
                SEEN.append(("write", os.path.realpath(os.fsdecode(place)), event))
    elif event in RUN or event in NET:
        SEEN.append(("run" if event in RUN else "net", event, repr(given)[:200]))


def main() -> None:
    """Run the command line under watch; notes are written when it ends, whatever its end."""
    notes, sys.argv = sys.argv[1], ["opalesce", *sys.argv[2:]]
    sys.addaudithook(hook)
    try:
        from opalesce.cli import main as command

        sys.exit(command())
    finally:
        seen = list(SEEN)
        with open(notes, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(seen, file)


if __name__ == "__main__":
    main()
