"""The package's own rules: imports point one way, and only one module knows the widgets."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "sdbnn_lite"
MODULES = {p.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): p for p in PACKAGE.rglob("*.py")}


def imports(path):
    """(dots, module, names) of every import statement, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, []


def own_imports(name):
    """The package's modules that the module ``name`` imports."""
    inside = name.split(".")[:-1]
    found = set()
    for dots, module, names in imports(MODULES[name]):
        if dots == 0 and module.split(".")[0] == "sdbnn_lite":
            base = module.split(".")[1:]
        elif dots:
            base = inside[: len(inside) - dots + 1] + ([module] if module else [])
        else:
            continue
        for candidate in [".".join(base), *(".".join([*base, n]) for n in names)]:
            if candidate in MODULES and candidate != name:
                found.add(candidate)
    return found


def test_there_are_no_import_cycles():
    graph = {name: own_imports(name) for name in MODULES if not name.endswith("__init__")}
    assert "binarize" in graph["layers"] and "layers" in graph["models"]  # the graph sees what there is
    TopologicalSorter(graph).prepare()  # raises CycleError, naming the cycle


def test_only_widgets_knows_ipywidgets():
    users = {n for n, p in MODULES.items() if any(m.split(".")[0] == "ipywidgets" for _, m, _ in imports(p))}
    assert users <= {"widgets"}


def test_the_core_needs_no_notebook_packages():
    """What trains on a bare machine with a GPU: none of these may be imported when ``train`` is."""
    unwanted, seen, queue = {"IPython", "nbclient", "nbformat", "ipywidgets", "ipykernel"}, set(), ["train", "cli"]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            tops = {m.split(".")[0] for dots, m, _ in imports(MODULES[name]) if dots == 0}
            assert not tops & unwanted, name
            queue += own_imports(name) - {"chain", "walkthrough"}


def test_every_module_and_public_name_says_what_it_is():
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), name
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{name}.{node.name}"
