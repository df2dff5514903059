"""The package's own rules: imports point one way, and only one module knows the widgets."""

import ast
from graphlib import TopologicalSorter

from package_modules import MODULES, imports, own_imports


def test_there_are_no_import_cycles():
    graph = {name: own_imports(name) for name in MODULES if not name.endswith("__init__")}
    assert (
        "core.binarize" in graph["core.layers"] and "core.layers" in graph["core.models"]
    )  # the graph sees what there is
    TopologicalSorter(graph).prepare()  # raises CycleError, naming the cycle


def test_only_widgets_knows_ipywidgets():
    users = {n for n, p in MODULES.items() if any(m.split(".")[0] == "ipywidgets" for _, m, _ in imports(p))}
    assert users <= {"lessons.widgets"}


def test_the_core_needs_no_notebook_packages():
    """What trains on a bare machine with a GPU: none of these may be imported when ``train`` is."""
    unwanted, seen, queue = (
        {"IPython", "nbclient", "nbformat", "ipywidgets", "ipykernel"},
        set(),
        ["training.train", "cli"],
    )
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            tops = {m.split(".")[0] for dots, m, _ in imports(MODULES[name]) if dots == 0}
            assert not tops & unwanted, name
            queue += own_imports(name) - {"pages.chain", "pages.walkthrough"}


def test_every_module_and_public_name_says_what_it_is():
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), name
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{name}.{node.name}"
