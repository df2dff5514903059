"""The package's modules, and what each imports."""

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
