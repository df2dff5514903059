"""Texts for readers who don't see a picture name only what is drawn: methods, networks, and no typed numbers."""

import ast
import re

import pytest
from matplotlib.text import Text
from places import NOTEBOOKS

from sdbnn_lite.analysis.cifar10 import TITLES
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.plots import gallery_cifar10, gallery_imagenet

nbformat = pytest.importorskip("nbformat")
DRAWABLE = [name for name, entry in gallery_imagenet.ALL.items() if not entry.missing()]
NAMES = sorted({*(method.short for method in METHODS.values()), *TITLES.values()}, key=len, reverse=True)
PATHS = [pytest.param(path, id=path.name[:2]) for path in sorted(NOTEBOOKS.glob("0*.ipynb"))]


def named(text):
    """The methods and networks that ``text`` names; XNOR-Net++ isn't XNOR-Net too."""
    found = set()
    for name in NAMES:
        shorter = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w+-])", "", text)
        found |= {name} if shorter != text else set()
        text = shorter
    return found


def texts(figure):
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


def test_names_are_found():
    assert named("XNOR-Net++ and ResNet-18, then ASD.") == {"XNOR-Net++", "ResNet-18", "ASD"}
    assert named("XNOR-Net") == {"XNOR-Net"} and named("SD-BNNs and Nodes") == set()


@pytest.mark.parametrize("name", DRAWABLE)
def test_a_gallery_s_text_names_only_methods_and_networks_that_are_drawn(name):
    """cifar10_curves once gave the means of eleven methods under six lines."""
    figure, said = gallery_cifar10.one(name, gallery_imagenet.ALL)
    drawn = texts(figure)
    unseen = {what for what in named(said) if what not in drawn and what.lower() not in drawn.lower()}
    assert unseen - {"ASD", "WSD"} == set()


def literals(node):
    """The constant texts in an expression, not those that are only formatted into it."""
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


@pytest.mark.parametrize("path", PATHS)
def test_no_measured_number_is_typed_into_a_text(path):
    """Alt texts of notebook 07 once held percentages that a change of the count would have left standing."""
    typed = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        for call in ast.walk(ast.parse(re.sub(r"^( *)%.*", r"\1pass", cell.source, flags=re.MULTILINE))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "show" and len(call.args) == 2:
                typed += [text for text in literals(call.args[1]) if re.search(r"\d+\.\d|\d+ (?:%|percent)", text)]
    assert typed == []
