"""The reference: pdoc makes a page for every module of its docstrings, beside the notebooks' pages (``make site``)."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

PACKAGE = __name__.partition(".")[0]
FIRST = f"reference/{PACKAGE}.html"  # in the site
TEMPLATES = Path(__file__).parent / "reference_pages"


def modules() -> list[str]:
    """The dotted names of the package and its modules; each is imported, since pdoc documents what is there."""
    package = import_module(PACKAGE)
    found = [module.name for module in walk_packages(package.__path__, f"{PACKAGE}.")]
    names = [PACKAGE, *(name for name in found if not name.endswith("__main__"))]
    for name in names:
        import_module(name)
    for name in package.__all__:
        getattr(package, name)  # loaded on first use, and hidden from pdoc till then
    return names


def lists(docstring: str) -> str:
    """A docstring of this package as Markdown: names in a column beside what they mean become a list."""
    return "\n\n".join(map(_paragraph, docstring.replace("\n>>> ", "\n\n>>> ", 1).split("\n\n")))


def _paragraph(text: str) -> str:
    if text.startswith(("    ", ">>>")):
        return text
    if re.match(r"\S.*?\S {3,}\S", text) is None:
        return re.sub(r"(`[^`]+`)|<", lambda found: found[1] or "&lt;", text)  # no tag of HTML
    items = re.split(r"\n(?=\S.*? {3,}\S)", text)
    pairs = [re.split(" {3,}", re.sub(r"\s*\n\s*", " ", item), maxsplit=1) for item in items]
    return "\n".join(f"- `{name.replace('`', '')}`: {_paragraph(re.sub(' {3,}', '; ', what))}" for name, what in pairs)


def build(style: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name in the site, text) of every page and of the index of their search.

    ``style``: what the notebooks' pages have, colours by name and, as ``highlight``, the rules for code.
    """
    from pdoc import doc, render
    render.env.globals.update(style=style)
    render.env.filters.update(lists=lists)
    render.configure(docformat="restructuredtext", template_directory=TEMPLATES)
    documented = {name: doc.Module.from_name(name) for name in modules()}
    here = str(Path(__file__).parents[2])  # stands in the values of constants
    for name, module in documented.items():
        yield f"reference/{name.replace('.', '/')}.html", render.html_module(module, documented).replace(here, ".")
    yield "reference/search.js", render.search_index(documented).replace(here, ".")
