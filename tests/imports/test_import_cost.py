"""Importing is cheap, drags in nothing heavy, and needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"torch", "matplotlib", "pandas", "xarray", "plotly", "numba", "scipy"}
LIMIT = 0.3  # CPU seconds for `import opalesce`, the figure of the project's acceptance list

COST = """
import json, sys, time
start = time.process_time()
{body}
cpu = time.process_time() - start
print(json.dumps({{"cpu": cpu, "modules": sorted({{m.split(".")[0] for m in sys.modules}})}}))
"""

# The import system asks this finder first: to it torch does not exist.
NO_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "transformers"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def costs(body: str, times: int = 3) -> list[dict]:
    return [json.loads(python(COST.format(body=body)).splitlines()[-1]) for _ in range(times)]


def test_import_is_cheap():
    runs = costs("import opalesce")
    assert min(r["cpu"] for r in runs) < LIMIT
    assert HEAVY & set(runs[0]["modules"]) == set()


def test_help_needs_nothing_heavy():
    body = """
import contextlib, io
from opalesce.cli import main
with contextlib.redirect_stdout(io.StringIO()) as out:
    assert main(["--help"]) == 0
assert "report" in out.getvalue()
"""
    assert HEAVY & set(costs(body, 1)[0]["modules"]) == set()


def test_the_check_sees_a_heavy_module():
    assert HEAVY & set(costs("import opalesce; opalesce.measure", 1)[0]["modules"]) >= {"xarray", "pandas"}


def test_every_module_imports_without_torch():
    code = """
import importlib, pkgutil
import opalesce
names = [m.name for m in pkgutil.walk_packages(opalesce.__path__, "opalesce.")]
names = [name for name in names if not name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
assert "torch" not in sys.modules
print(len(names))
"""
    assert int(python(NO_TORCH + code)) > 50


def test_the_blocker_blocks():
    python(
        NO_TORCH
        + "try:\n    import torch\nexcept ModuleNotFoundError:\n    pass\nelse:\n    raise SystemExit(1)"
    )


def test_a_missing_torch_is_named_with_what_to_type():
    code = """
from opalesce.errors import MissingExtra
from opalesce.systems import induction
try:
    induction.train('nowhere', seed=0)
except MissingExtra as error:
    assert "pip install 'opalesce[torch]'" in str(error)
else:
    raise SystemExit("no error")
"""
    python(NO_TORCH + code)
