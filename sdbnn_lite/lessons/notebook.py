"""What every notebook of the chain needs: set-up with clear words, figures with alt text, tables, checked answers."""

import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from .. import data as images
from ..analysis import tables
from ..core.methods import METHODS
from ..errors import UsageError
from ..plots import gallery_cifar10, gallery_imagenet
from ..plots.theme import png_bytes, theme
from ..system.text import aligned_table
from ..weights.zoo import zoo_names

THREADS = 2  # torch's: sums in another order differ in their last digits, and committed text would with them
OLDEST_TORCH = "2.4"
GET_ZOO = ("`git checkout -- sdbnn_lite/zoo sdbnn_lite/results` brings them back, `sdbnn-lite study digits --publish` "
           "makes them again")  # fmt: skip
GET_NOTEBOOKS = "pip install 'sdbnn-lite[notebooks]'"


def notebook_setup(*, fast: bool = True, data: str | Path | None = None, needs: Iterable[str] = (),
                   study: str | None = None, uses: str = "the embedded digits",
                   threads: int = THREADS) -> None:  # fmt: skip
    """The first call of a notebook: fix the number of threads, check what the notebook will need, say what it uses.

    ``fast``, ``data``: the notebook's parameters FAST and DATA. ``needs``: names of trained networks (zoo names);
    ``study``: the name of a study whose tables are read; ``uses``: what it works with, in words; ``threads``: torch's,
    the same on every machine. Nothing depends on the folder that the notebook was started in, but a relative DATA.

    Raises UsageError, shown as one sentence without a traceback, where something is missing.
    """
    torch.set_num_threads(threads)
    problem = next(_problems(data, list(needs), study), None)
    if problem:
        error = UsageError(problem)
        error._render_traceback_ = lambda: [problem]  # IPython shows this in place of a traceback
        raise error
    given = uses if data is None else f"{uses} and the images in DATA"
    print(f"Ready: {given}, FAST = {bool(fast)}, {threads} thread{'s' * (threads > 1)}.")


def _problems(data: str | Path | None, needs: list[str], study: str | None) -> Iterator[str]:
    if torch.__version__ < OLDEST_TORCH:
        yield f"torch {torch.__version__} is too old: pip install 'torch>={OLDEST_TORCH}'."
    if data is not None and not Path(data).expanduser().is_dir():
        yield f"DATA = {str(data)!r} is no folder: give the one with the image sets, or None for the digits alone."
    if missing := [name for name in needs if name not in zoo_names()]:
        yield f"Trained networks are missing ({', '.join(missing)}): {GET_ZOO}."
    if study is not None and not tables.has_study(study, "runs.csv"):
        yield f"The tables of the study {study!r} are missing: {GET_ZOO}."


def check_setup() -> bool:
    """Print a line for each thing that the chain needs, with the remedy where it is missing; True if all is there."""
    digits = images.load("digits")
    networks = {f"digits_{method}" for method in METHODS}
    here = networks & set(zoo_names())
    rows = [
        ("Python 3.10 or newer", sys.version_info >= (3, 10), "install a newer Python"),
        (f"PyTorch {OLDEST_TORCH} or newer", torch.__version__ >= OLDEST_TORCH, f"pip install 'torch>={OLDEST_TORCH}'"),
        ("sliders (ipywidgets)", importlib.util.find_spec("ipywidgets") is not None, GET_NOTEBOOKS),
        (f"images: {digits.num_train:,} + {digits.num_test} digits", True, ""),
        (f"trained networks: {len(here)} of {len(networks)}", here == networks, GET_ZOO),
        ("tables of the digits study", tables.has_study("digits", "runs.csv"), GET_ZOO),
    ]
    table([(what, "ok" if fine else f"missing: {remedy}") for what, fine, remedy in rows])
    return all(fine for _, fine, _ in rows)


def show(figure: Figure, alt: str) -> None:
    """Display ``figure`` as a PNG with the text ``alt`` for those who don't see it. Call it last in a cell."""
    if not alt.strip():
        raise UsageError("alt: empty; say in a sentence what the picture shows")
    _display(*picture(figure, alt))


def picture(figure: Figure, alt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What IPython's ``display(data, raw=True, metadata=about)`` takes to show ``figure``: (data, about)."""
    with theme():  # ticks are made when they are first drawn
        return _png(png_bytes(figure, dpi=160), alt, round(100 * figure.get_figwidth()))


def show_png(path: str | Path, alt: str) -> None:
    """Display a picture that ``sdbnn-lite figures`` has written, with the text ``alt`` for those who don't see it."""
    content = Path(path).read_bytes()
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise UsageError(f"{path}: not a PNG")
    pixels = int.from_bytes(content[16:20], "big")  # the width stands there in every PNG
    _display(*_png(content, alt, round(pixels / 1.5)))  # files have 150 dots an inch, a page 100


def _display(data: dict[str, Any], about: dict[str, Any]) -> None:
    from IPython.display import display  # the library itself does without IPython
    display(data, raw=True, metadata=about)


def _png(content: bytes, alt: str, width: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """``width``: in pixels of the page; the picture has more."""
    return {"image/png": content, "text/plain": f"[picture] {alt}"}, {"image/png": {"alt": alt, "width": width}}


def show_result(name: str) -> None:
    """Show the figure ``name`` of the results on CIFAR-10 or Imagenette, or print what is missing for it."""
    figure, text = gallery_cifar10.one(name, gallery_imagenet.ALL)
    if figure is None:
        print(text)
    else:
        show(figure, text)


def listing(sentences: Iterable[str]) -> None:
    """Show sentences that were just computed as a list. Call it last in a cell."""
    from IPython.display import Markdown, display
    display(Markdown("\n".join(f"- {sentence}" for sentence in sentences)))


def table(rows: Iterable[Sequence[Any]], header: Sequence[str] | None = None, digits: int = 2) -> None:
    """Print rows as aligned text: numbers to the right, floats with ``digits`` decimals, a rule under the header."""
    texts = [[_cell(value, digits) for value in row] for row in rows]
    lines = [list(header)] + texts if header else texts
    if not lines or len({len(line) for line in lines}) > 1:
        raise UsageError("table: every row, and the header, needs the same number of cells, at least one row")
    numeric = [all(map(_is_number, column)) for column in zip(*texts)] or [False] * len(lines[0])
    print(aligned_table(lines, numeric, rule=bool(header)))


def _is_number(text: str) -> bool:
    """Whether ``text`` is a number, or the "-" that stands for none."""
    try:
        return text == "-" or float(text.replace(",", "")) is not None
    except ValueError:
        return False


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    return f"{value:,}" if isinstance(value, Integral) else f"{value:,.{digits}f}"
