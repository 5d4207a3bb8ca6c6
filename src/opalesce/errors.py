"""Errors that say what was expected, what came, and what to type next."""

from __future__ import annotations


class OpalesceError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    what : str
        One plain sentence: what went wrong.
    expected, got : str
        Both sides of the disagreement.
    fix : str
        What the user can type or do next.
    """

    exit_code = 3

    def __init__(self, what: str, *, expected: str = "", got: str = "", fix: str = "") -> None:
        self.what, self.expected, self.got, self.fix = what, expected, got, fix
        parts = [what]
        if expected:
            parts.append(f"expected: {expected}")
        if got:
            parts.append(f"got: {got}")
        if fix:
            parts.append(f"try: {fix}")
        super().__init__("\n  ".join(parts))

    def parts(self) -> dict[str, str]:
        """What went wrong as data: what, expected, got, fix."""
        return {"what": self.what, "expected": self.expected, "got": self.got, "fix": self.fix}


class InputError(OpalesceError):
    """The input is not what the called function takes (exit code 2)."""

    exit_code = 2


class StoreError(OpalesceError):
    """The folder for results cannot be written, so nothing is started (exit code 2)."""

    exit_code = 2


class FormatError(InputError):
    """A file does not follow its own format; the message names the file."""


class MissingExtra(InputError):
    """An optional dependency is needed for what was asked."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed, and this needs it",
            expected=f"the optional dependency group [{extra}]",
            got="an installation without it",
            fix=f"pip install 'opalesce[{extra}]'",
        )
