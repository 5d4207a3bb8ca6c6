"""`python -m opalesce`: the command line."""

import sys

from opalesce.cli import main

sys.exit(main())
