"""What people see: one HTML file and its JSON twin."""

from opalesce._callable import make_callable

make_callable(__name__, "opalesce.report.build", "report")
