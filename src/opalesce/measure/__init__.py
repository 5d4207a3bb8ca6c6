"""How it is computed: plan, lazy views, store and sweep."""

from opalesce._callable import make_callable
from opalesce.measure.aggregate import aggregate
from opalesce.measure.sweep import measure

__all__ = ["aggregate", "measure"]

make_callable(__name__, "opalesce.measure.sweep", "measure")
