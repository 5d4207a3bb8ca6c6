"""Imports go one way (docs: DESIGN, "Layers"), and torch is named only where it may be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"

# Each may import from itself and from those before it. Of three that share a layer in the design
# (runs, observables, nulls) the later may use the earlier.
ORDER = (
    {"estimate", "errors", "provenance", "cite", "_callable"},
    {"theory"},
    {"runs"},
    {"observables"},
    {"nulls"},
    {"measure"},
    {"laws"},
    {"transitions"},
    {"report"},
    {"systems"},
    {"live"},
    {"cli", "__main__"},
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
LOOKS_UP = {"import_module", "make_callable", "__import__", "find_spec"}
# cite looks the registry up when it is called, by a name in a string: the one way back that is allowed.
CALL_TIME = {("cite", "opalesce.observables.registry")}
TORCH = ("runs.torch", "measure.", "systems.", "live.")


def modules() -> dict[str, str]:
    """Dotted name below opalesce -> source; the root's `__init__`, which re-exports, is left out."""
    out = {}
    for path in sorted((SRC / "opalesce").rglob("*.py")):
        parts = path.relative_to(SRC / "opalesce").with_suffix("").parts
        if parts != ("__init__",):
            out[".".join(parts)] = path.read_text("utf-8")
    return out


def imported(module: str, source: str) -> list[str]:
    """Every module that the source names, wherever in it: at the top, in functions, for types only."""
    package = ["opalesce", *module.split(".")[:-1]]
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found += [f"{name}.{a.name}" for a in node.names] if name == "opalesce" else [name]
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in LOOKS_UP:
                found += [text for text in map(_text, node.args) if text and text.startswith("opalesce.")]
    return found


def _text(node: ast.expr) -> str | None:
    """A string argument; of an f-string, what stands before the first hole."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def layer(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def backwards(module: str, source: str) -> list[str]:
    """Imports of later layers, or of names nobody put in a layer."""
    own = module.split(".")[0]
    out = []
    for name in imported(module, source):
        if name.split(".")[0] != "opalesce" or (own, name) in CALL_TIME or name == "opalesce.__version__":
            continue
        if RANK.get(layer(name), 99) > RANK[own]:
            out.append(f"{module} imports {name}")
    return out


def torch_users(module: str, source: str) -> list[str]:
    """Torch named outside the modules that may use it."""
    uses = any(name.split(".")[0] == "torch" for name in imported(module, source))
    return [module] if uses and not f"{module}.".startswith(TORCH) else []


def test_every_module_has_a_layer():
    found = modules()
    assert len(found) > 50
    assert {m.split(".")[0] for m in found} <= set(RANK)


def test_imports_go_one_way():
    assert [line for m, source in modules().items() for line in backwards(m, source)] == []


def test_torch_only_where_it_may_be():
    assert [m for module, source in modules().items() for m in torch_users(module, source)] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("runs.run", "from opalesce.transitions.court import judge"),
        ("runs.run", "import opalesce.report.html"),
        ("runs.run", "from opalesce import report"),
        ("runs.run", "from ..measure import sweep"),
        ("runs.run", "from .. import measure"),
        ("observables.norms", "def f():\n    from opalesce.nulls.series import ar1"),
        ("nulls.series", "if TYPE_CHECKING:\n    from opalesce.measure.sweep import measure"),
        ("report.html", "from importlib import import_module\nimport_module('opalesce.systems.induction')"),
        ("report.html", "import importlib\nimportlib.import_module(f'opalesce.systems.{name}')"),
        ("errors", "from opalesce.runs.run import Run"),
        ("errors", "from opalesce.nowhere import x"),
    ],
)
def test_a_planted_backward_import_is_found(module, source):
    assert len(backwards(module, source)) == 1


def test_what_is_allowed_is_not_complained_about():
    for line in (
        "import numpy",
        "from opalesce.errors import InputError",
        "from .axis import Axis",
        "from opalesce import __version__",
    ):
        assert backwards("runs.run", line) == []
    assert backwards("cite", "import_module('opalesce.observables.registry')") == []
    assert backwards("errors", "import_module('opalesce.observables.registry')") != []


def test_planted_torch_is_found():
    assert torch_users("runs.run", "def f():\n    import torch.nn") == ["runs.run"]
    assert torch_users("runs.torch", "import torch") == []
    assert torch_users("measure.hooks", "from torch import nn") == []
