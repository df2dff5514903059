"""The package's modules, what each imports, and the functions in it."""

import ast

from places import ROOT

PACKAGE = ROOT / "sdbnn_lite"
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
    """The package's modules that the module ``name`` imports; a package counts as its ``__init__``.

    ``from .layers import set_ede`` imports the module ``layers``, ``from . import layers`` too. A name of the package
    itself (``from . import set_ede``) comes from its ``__init__``, that of the whole package is called ``__init__``.
    """
    inside = name.split(".")[:-1]
    found = set()
    for dots, module, names in imports(MODULES[name]):
        if dots == 0 and module.split(".")[0] == "sdbnn_lite":
            base = module.split(".")[1:]
        elif dots:
            base = inside[: len(inside) - dots + 1] + (module.split(".") if module else [])
        else:
            continue
        found |= {_module([*base, n]) or _module(base) or ".".join(base) for n in names} if names else {_module(base)}
    return found - {name}


def _module(parts):
    """The module that the dotted name in ``parts`` means, or None."""
    for candidate in (".".join(parts), ".".join([*parts, "__init__"])):
        if candidate in MODULES:
            return candidate
    return None


def functions(name):
    """(dotted name, its definition) of every function, method and inner function in the module ``name``."""

    def inside(node, prefix):
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            dotted = f"{prefix}.{child.name}" if named else prefix
            if named and not isinstance(child, ast.ClassDef):
                yield dotted, child
            yield from inside(child, dotted)

    return inside(ast.parse(MODULES[name].read_text(encoding="utf-8")), name)
