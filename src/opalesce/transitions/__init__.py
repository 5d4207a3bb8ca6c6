"""What changed, and is it real: the court."""

from opalesce._callable import make_callable

make_callable(__name__, "opalesce.transitions.trial", "transitions")
