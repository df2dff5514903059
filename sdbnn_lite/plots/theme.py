"""The look of every figure, and how it is saved with the same bytes each time.

One seaborn theme; the Okabe-Ito colours, which colour-blind readers can tell apart; and never colour alone: +1 and -1
also differ in hatch, methods also in marker.
"""

import io
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import seaborn
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ..core.methods import METHODS
from ..system.files import writable_folder, write_atomic

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#222222",
)  # fmt: skip
GREY = "#8A8A8A"
LINES = ((BLUE, "o"), (PURPLE, "s"), (ORANGE, "D"), (SKY, "^"), (GREEN, "v"), (RED, "P"))  # of runs, in their order
PLUS, MINUS = ORANGE, BLUE  # the two signs, everywhere; with hatches PLUS_HATCH and MINUS_HATCH
PLUS_HATCH, MINUS_HATCH = "//", ""
SIGNS = ListedColormap([MINUS, PLUS])  # of a map of signs

# The paper's two shifts, both of them and RSign are compared most: tests/plots hold these four colours apart.
_LOOKS = {
    "float": (GREY, "o"), "bnn": (BLACK, "s"), "xnor": (GREEN, "v"), "xnor_pp": (GREEN, "^"), "bireal": (PURPLE, "D"),
    "irnet": (PURPLE, "<"), "ede": (ORANGE, ">"), "rsign": (YELLOW, "p"), "asd": (BLUE, "h"), "asd_tanh": (GREEN, "P"),
    "wsd": (SKY, "X"), "sdbnn": (RED, "*"),
}  # fmt: skip
COLOURS, MARKERS = ({method: _LOOKS[method][k] for method in METHODS} for k in (0, 1))

_STYLE = dict(matplotlib.rc_params_from_file(Path(__file__).with_name("figures.mplstyle"), use_default_template=False))


@contextmanager
def theme():
    """Everything drawn inside looks like the rest of the project; settings outside stay as they were."""
    with matplotlib.rc_context():
        seaborn.set_theme(context="notebook", style="whitegrid", rc=_STYLE)
        yield


def new_figure(width: float = 8.0, height: float = 4.0) -> Figure:
    """An empty figure in inches that pyplot doesn't know, so nothing has to be closed. Call it inside ``theme()``."""
    return Figure(figsize=(width, height))


@contextmanager
def drawing(width: float, height: float, fixed: bool = False):
    """A new figure in inches; what is drawn inside ``with`` looks like the rest of the project.

    ``fixed``: axes stay where they are put; finding their margins would take longer than all the rest of a redraw.
    """
    with theme():
        figure = new_figure(width, height)
        if fixed:
            figure.set_layout_engine("none")
        yield figure


def png_bytes(figure: Figure, dpi: int = 100) -> bytes:
    """The figure as PNG, without a date or a version in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def svg_bytes(figure: Figure) -> bytes:
    """The figure as SVG, without a date in it."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": _STYLE["svg.hashsalt"]}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


FORMATS = {".png": lambda figure: png_bytes(figure, dpi=150), ".svg": svg_bytes}  # of a picture's file


def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write ``folder/name.png`` and ``folder/name.svg``; returns both paths."""
    paths = [writable_folder(folder) / f"{name}{ending}" for ending in FORMATS]
    for path in paths:
        write_atomic(path, FORMATS[path.suffix](figure))
    return paths
