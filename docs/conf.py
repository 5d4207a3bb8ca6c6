"""Sphinx configuration; reference tables are made from the code when the docs are built."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import make_reference

import opalesce

project = "opalesce"
author = "The opalesce developers"
project_copyright = author
release = version = opalesce.__version__

extensions = ["myst_nb"]  # tutorials are notebooks, run anew at each build
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
source_suffix = {".md": "myst-nb"}
exclude_patterns = ["_build", "reference/generated"]
html_theme = "alabaster"
html_title = f"opalesce {release}"
html_theme_options = {"description": "The moment of change becomes visible.", "page_width": "1100px"}
html_show_copyright = False


def setup(app: object) -> None:
    """Write the generated pages before Sphinx reads its sources."""
    make_reference.main(Path(__file__).parent / "reference" / "generated")
