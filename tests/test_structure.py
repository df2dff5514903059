"""The package's own rules: which room may import which, how long things are, and that each says what it is."""

import ast
from graphlib import TopologicalSorter

import pytest
from package_modules import MODULES, functions, imports, own_imports

LEVELS = (  # from the ground up; a room imports only rooms of lower levels
    {"errors", "version"},
    {"system"},
    {"core", "data"},
    {"weights", "fast"},
    {"packed", "training"},
    {"cost", "own"},
    {"analysis"},
    {"plots"},
    {"lessons"},
    {"pages"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
ONLY = {"core": {"errors"}, "data": {"errors", "system"}, "errors": set(), "version": set()}  # stricter than the levels
LOOKS_ACROSS = "__init__"  # the whole package's: hands on the public names, and no module imports anything from it

# 16,000 lines, 600 of `sdbnn-lite search`, 1,200 for people's own networks, images and recipes; 3,200 of the course
# (1,300 of them stood in the notebooks' cells before, 700 are exercises) 750 for processors without AVX-512,
# and 1,000 for checks of every file that is read, signals and pipes, the reference's pages, and the step's roofline;
# 24 for γ at the start, 100 for studies whose methods are tuned, 100 for gradients in 8 bits, 28 for the weights' way
# back through the sign in their kernel
LINES, FILE_LINES, FUNCTION_LINES, PARAMETERS = 23_006, 350, 60, 6
COMPILED = "compiled kernels take arrays and numbers one by one; an object around them can't be compiled"
MACHINE_CODE = "wrappers of machine code: addresses, strides and counts, as the loop around them has them"
MORE_PARAMETERS = {  # a function or a whole module, and why it may have more
    "core.layers.BinaryConv2d.__init__": "nn.Conv2d's arguments under their names, and three that make it binary",
    "core.layers.BinaryLinear.__init__": "nn.Linear's arguments under their names, and three that make it binary",
    "data.sets.load": "what a user may ask of an image set, each with a default",
    "fast.layer.FusedLayer.forward": "autograd differentiates only tensors that are arguments of their own",
    "fast.convolutions": COMPILED,
    "fast.kernels": COMPILED,
    "fast.stem": COMPILED,
    "packed.chains": COMPILED,
    "packed.kernels": COMPILED,
    "fast.rows": MACHINE_CODE,
    "fast.tiles": MACHINE_CODE,
    "packed.tiles": MACHINE_CODE,
}


def room_of(name):
    return name.partition(".")[0]


def forbidden(name, imported):
    """Why the module ``name`` may not import the module ``imported``; "" where it may."""
    room, other = room_of(name), room_of(imported)
    if imported == LOOKS_ACROSS:
        return "no module imports from the package's __init__"
    if room == other or name == LOOKS_ACROSS:
        return ""
    if LEVEL[other] >= LEVEL[room]:
        return f"{other} doesn't lie below {room}"
    if other not in ONLY.get(room, LEVEL):
        return f"{room} imports only {sorted(ONLY[room])}"
    return ""


def test_every_module_lies_in_a_room():
    assert {room_of(name) for name in MODULES} == {*LEVEL, LOOKS_ACROSS}


def test_every_import_points_down():
    arrows = [(name, imported) for name in MODULES for imported in sorted(own_imports(name))]
    wrong = [f"{name} -> {imported}: {why}" for name, imported in arrows if (why := forbidden(name, imported))]
    assert wrong == []


def test_the_search_sees_every_kind_of_import(monkeypatch, tmp_path):
    """Relative and absolute ones, of modules, of names, of packages, inside functions; and the rules refuse them."""
    path = tmp_path / "made.py"
    path.write_text(
        "from .. import __version__, cli\nfrom ..data import load\nimport sdbnn_lite.plots.theme\n"
        "from .layers import set_ede\ndef f():\n    from sdbnn_lite.system import files\n    import numpy\n"
    )
    monkeypatch.setitem(MODULES, "core.made", path)
    found = own_imports("core.made")
    assert found == {"__init__", "cli", "data.__init__", "plots.theme", "core.layers", "system.files"}
    assert {name for name in found if not forbidden("core.made", name)} == {"core.layers"}
    assert forbidden("data.sets", "core.layers") and not forbidden("data.sets", "system.files")
    assert forbidden("lessons.notebook", "pages.chain") and not forbidden("cli", "commands.training")


def test_there_are_no_import_cycles():
    graph = {name: own_imports(name) for name in MODULES}
    assert "core.binarize" in graph["core.layers"] and "packed.file" in graph["packed.__init__"]  # it sees them
    TopologicalSorter(graph).prepare()  # raises CycleError, naming the cycle


def test_only_widgets_knows_ipywidgets():
    users = {n for n, p in MODULES.items() if any(m.split(".")[0] == "ipywidgets" for _, m, _ in imports(p))}
    assert users <= {"lessons.widgets"}


def test_training_needs_no_notebook_packages():
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


def lines_of(name):
    return len(MODULES[name].read_text(encoding="utf-8").splitlines())


def test_the_package_and_its_files_are_short():
    assert {name: lines for name in MODULES if (lines := lines_of(name)) > FILE_LINES} == {}
    assert sum(map(lines_of, MODULES)) <= LINES


def function_lines(node):
    return node.end_lineno - min(part.lineno for part in (node, *node.decorator_list)) + 1


def parameters(node):
    """Their number, without a method's own first one."""
    a = node.args
    names = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p is not None]
    return len(names) - (names[:1] in (["self"], ["cls"], ["ctx"]))


FUNCTIONS = {dotted: (name, node) for name in MODULES for dotted, node in functions(name)}


def test_functions_are_short():
    assert {f: n for f, (_, node) in FUNCTIONS.items() if (n := function_lines(node)) > FUNCTION_LINES} == {}


def test_functions_have_few_parameters_or_a_reason():
    many = {f: name for f, (name, node) in FUNCTIONS.items() if parameters(node) > PARAMETERS}
    assert {f for f, name in many.items() if not {f, name} & set(MORE_PARAMETERS)} == set()
    assert set(MORE_PARAMETERS) <= {*many, *many.values()}, "an exception that nothing needs"


@pytest.mark.parametrize(
    ("text", "lines", "many"),
    [
        ("@a\n@b\ndef f(self, x, /, y, *z, k, **w):\n    pass\n", 4, 5),
        ("def f(x):\n    def g():\n        pass\n", 3, 1),
    ],
)
def test_functions_are_counted_with_all_that_belongs_to_them(text, lines, many):
    (node,) = ast.parse(text).body
    assert (function_lines(node), parameters(node)) == (lines, many)
