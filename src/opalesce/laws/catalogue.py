"""Laws by the names that a user types."""

from __future__ import annotations

from opalesce.errors import InputError
from opalesce.laws.compute import Chinchilla, Kaplan
from opalesce.laws.forms import Broken, Form
from opalesce.laws.saturating import M3, M4
from opalesce.laws.threshold import Threshold

MOST_BREAKS = 3
FORMS: dict[str, Form] = {
    "power": Broken(0),
    "broken": Broken(1),
    "chinchilla": Chinchilla(),
    "kaplan": Kaplan(),
    "M1": Broken(0, offset=False),
    "M2": Broken(0),
    "M3": M3(),
    "M4": M4(),
    "threshold": Threshold(),
}


def form(name: str, breaks: int = 1) -> Form:
    """The law of that name; `breaks` counts for "broken". power and M2 have an offset, M1 has none.

    Raises
    ------
    InputError
        No law of that name, or a number of breaks that is not 0 to 3.
    """
    if not 0 <= breaks <= MOST_BREAKS:
        raise InputError("a number of breaks", expected=f"0 to {MOST_BREAKS}", got=str(breaks))
    if name not in FORMS:
        raise InputError("no law of that name", expected=", ".join(FORMS), got=repr(name))
    return Broken(breaks) if name == "broken" else FORMS[name]
