"""How it is computed: plan, lazy views, store and sweep."""

from opalesce.measure.aggregate import aggregate
from opalesce.measure.sweep import measure

__all__ = ["aggregate", "measure"]
