"""Reading a figure back from its artists: its texts with their boxes, their contrast, whether all can be read."""

import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb


def visible_texts(figure):
    """Every text that a reader sees: titles, labels, notes, and the tick labels within the axes' limits."""
    texts = list(figure.texts)
    for ax in figure.axes:
        texts += [*ax.texts, ax.title, ax._left_title, ax._right_title, ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_major_ticks(), axis.get_majorticklocs())
            texts += [tick.label1 for tick, place in ticks if low <= place <= high]
    return [t for t in texts if t.get_visible() and t.get_text().strip()]


def boxes(figure, dpi=100):
    """Each visible text with its box in pixels."""
    figure.set_dpi(dpi)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    return [(t.get_text(), matplotlib.text.Text.get_window_extent(t, renderer)) for t in visible_texts(figure)]


def luminance(colour):
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(channels, [0.2126, 0.7152, 0.0722]))


def contrast_to_white(colour):
    """WCAG's contrast ratio: 4.5 is enough for a text, 3 for a shape."""
    return 1.05 / (luminance(colour) + 0.05)


def assert_apart(figure, dpi=100, slack=0):
    """No text covers another or leaves the figure by more than ``slack`` pixels, none is small."""
    found = boxes(figure, dpi)
    for (a, box_a), (b, box_b) in itertools.combinations(found, 2):
        assert not box_a.padded(-1).overlaps(box_b), f"{a!r} covers {b!r}"  # a pixel of antialiasing
    width, height = figure.bbox.size
    for text, box in found:
        inside = min(box.x0, box.y0) >= -slack and box.x1 <= width + slack and box.y1 <= height + slack
        assert inside, f"{text!r} is cut"
    assert min(text.get_fontsize() for text in visible_texts(figure)) >= 9


def assert_readable(figure):
    """No text covers another or leaves the figure, none is small or pale; the width is a README's."""
    for dpi in (100, 150):  # in a notebook; as a file
        assert_apart(figure, dpi)
    for text in visible_texts(figure):
        assert contrast_to_white(text.get_color()) >= 4.5, text
    assert figure.get_size_inches()[0] == pytest.approx(8.3)
    assert figure._suptitle.get_text()
