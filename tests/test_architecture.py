"""The drawing of docs/explanation/architecture.md, held to: who may import whom, and what is light.

Everything is read from the source with `ast`; nothing of the package is imported except, in a
process of its own, the command line.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "radloop"

# Top to bottom. A station may import the stations below it and those beside it, never one above.
LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(layer.split())
    for layer in (
        "cli service",
        "labelling",
        "evaluation inference",
        "systems",
        "findings training",
        "networks measures cases",
        "images pages",
    )
)
RANK = {station: rank for rank, layer in enumerate(LAYERS) for station in layer}

LEARNING = {
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "monai",
    "segmentation_models_pytorch",
    "transformers",
}
WEB = {"fastapi", "starlette", "uvicorn", "pynetdicom", "sqlalchemy"}

# What a station knows nothing of, beyond what the layers already forbid.
KNOWS_NOTHING_OF: dict[str, set[str]] = {
    "images": LEARNING,
    "cases": LEARNING | {"radloop.networks", "radloop.measures"},
    "measures": {"radloop.networks", "radloop.cases"},
    "networks": {"radloop.cases", "radloop.measures", "radloop.images"},
    "training": {"radloop.findings"},
    "findings": LEARNING | {"radloop.networks", "radloop.training"},
    "evaluation": LEARNING | {"radloop.training", "radloop.networks"},
    "labelling": WEB | {"radloop.networks", "radloop.training"},
    "service": LEARNING | {"radloop.networks", "radloop.training"},
}
# The libraries that a station may use beside Python's own.
MAY_USE_ONLY: dict[str, set[str]] = {
    "measures": {"radloop", "numpy", "scipy"},
    "networks": LEARNING | {"radloop"},
}
READS_FILES = {"pathlib", "io", "os", "shutil", "tempfile"}
HEAVY = ("torch", "numpy", "cv2", "openvino", "matplotlib", "pydicom", "scipy", "sklearn", "PIL")
MAX_LINES = 450


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its text, its syntax tree."""

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def station(self) -> str:
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else ""


def load(folder: Path) -> list[Module]:
    """All modules of the package `radloop` in `folder`."""
    modules = []
    for path in sorted(folder.rglob("*.py")):
        parts = ("radloop", *path.relative_to(folder).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, path.read_text(encoding="utf-8")))
    return modules


def imported(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that the tree imports, inside functions too; `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_at_load(tree: ast.Module) -> Iterator[str]:
    """What is imported when the module is: not inside functions, not for the type checker only."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If):
            only_types = "TYPE_CHECKING" in ast.unparse(node.test)
            todo += node.orelse if only_types else node.body + node.orelse
        elif isinstance(node, ast.Try):
            todo += [*node.body, *node.orelse, *node.finalbody]
            todo += [line for handler in node.handlers for line in handler.body]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)


def is_under(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def layer_violations(modules: list[Module]) -> list[str]:
    """Imports that point up, or to a station that has no layer."""
    found = []
    for module in modules:
        for name in imported(module.tree):
            station = name.split(".")[1] if is_under(name, "radloop") and "." in name else ""
            if module.station in RANK and station in RANK and RANK[station] < RANK[module.station]:
                found.append(f"{module.name} imports {name}, which lies above it")
    return found


def knowledge_violations(modules: list[Module]) -> list[str]:
    """Imports of what the station knows nothing of."""
    found = []
    for module in modules:
        names = list(imported(module.tree))
        for package in KNOWS_NOTHING_OF.get(module.station, set()):
            if any(is_under(name, package) for name in names):
                found.append(f"{module.name} knows nothing of {package}")
        allowed = MAY_USE_ONLY.get(module.station)
        if allowed is not None:
            found += [
                f"{module.name} may not use {name}"
                for name in names
                if name.split(".")[0] not in allowed | set(sys.stdlib_module_names)
            ]
    return found


def find_cycle(modules: list[Module]) -> list[str]:
    """A cycle of imports at load time, empty when there is none."""
    known = {module.name for module in modules}
    graph = {}
    for module in modules:
        names = set()
        for name in imported_at_load(module.tree):
            # `from a.b import c`: c may be a module or a name in a.b.
            names.add(name if name in known else name.rpartition(".")[0])
        graph[module.name] = names & known - {module.name}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def undocumented(module: Module) -> list[str]:
    """The module itself, and its public functions and classes, where they have no docstring."""
    tree = module.tree
    found = [module.name] if tree.body and not ast.get_docstring(tree) else []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if not node.name.startswith("_") and not ast.get_docstring(node):
            found.append(f"{module.name}.{node.name}")
    return found


MODULES = load(SOURCE)


def test_imports_point_down() -> None:
    assert layer_violations(MODULES) == []


def test_every_station_has_a_layer() -> None:
    stations = {module.station for module in MODULES if module.name.count(".") > 1}
    assert stations <= RANK.keys()


def test_each_station_knows_only_its_own() -> None:
    assert knowledge_violations(MODULES) == []


def test_networks_read_no_file() -> None:
    for module in MODULES:
        if module.station == "networks":
            assert not READS_FILES & {name.split(".")[0] for name in imported(module.tree)}
            calls = (n.func for n in ast.walk(module.tree) if isinstance(n, ast.Call))
            assert "open" not in {f.id for f in calls if isinstance(f, ast.Name)}, module.name


def test_modules_import_each_other_without_a_cycle() -> None:
    assert find_cycle(MODULES) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_file_is_short_and_documented(module: Module) -> None:
    assert module.text.count("\n") <= MAX_LINES
    assert undocumented(module) == []


def test_command_line_loads_nothing_heavy() -> None:
    code = "import sys, radloop.cli.main; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE.parent), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert set(HEAVY) & set(run.stdout.split()) == set()


# The rules themselves can fail.


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("radloop.images.read", "from radloop.cases.case import Case"),
        ("radloop.findings.page", "def f():\n    import radloop.cli.main"),
        ("radloop.training.fit", "from radloop import systems"),
    ],
)
def test_an_import_that_points_up_is_found(name: str, text: str) -> None:
    assert len(layer_violations([Module(name, text)])) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("radloop.findings.page", "def f():\n    import torch.nn"),
        ("radloop.measures.overlap", "import pandas as pd"),
        ("radloop.measures.overlap", "from radloop.cases.case import Case"),
        ("radloop.networks.unet", "import numpy"),
        ("radloop.evaluation.report", "from radloop.training import fit"),
    ],
)
def test_knowledge_that_a_station_should_not_have_is_found(name: str, text: str) -> None:
    assert len(knowledge_violations([Module(name, text)])) == 1


def test_a_cycle_is_found() -> None:
    a = Module("radloop.a.one", "from radloop.b.two import f")
    b = Module("radloop.b.two", "import radloop.a.one")
    late = Module("radloop.b.two", "def f():\n    import radloop.a.one")
    assert find_cycle([a, b]) != []
    assert find_cycle([a, late]) == []


def test_a_missing_docstring_is_found() -> None:
    module = Module("radloop.a", '"""A."""\n\ndef shown(): ...\n\ndef _hidden(): ...\n')
    assert undocumented(module) == ["radloop.a.shown"]
