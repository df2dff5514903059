"""Pictures of notebook 08: two photographs and their patches, what a layer receives, accuracies while training."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .theme import BLACK, BLUE, GREEN, ORANGE, SIGNS, drawing

LOOKS = ((BLACK, "o", "-"), (BLUE, "s", "--"), (GREEN, "^", "-."), (ORANGE, "D", ":"))


def scored_columns(photos: Mapping[str, np.ndarray], side: int, columns: Sequence[int]) -> Figure:
    """Each photograph (H, W, 3) under its name; the ``columns`` of patches, ``side`` pixels wide, are hatched."""
    with drawing(9.5, 3.5) as figure:
        for ax, (name, photo) in zip(figure.subplots(1, len(photos)), photos.items()):
            ax.imshow(photo)
            ax.autoscale(False)
            for column in columns:
                ax.axvspan(column * side, (column + 1) * side, fc="none", ec="white", hatch="///", lw=1)
            ax.set(title=f"{name} (hatched: only scored)", xticks=[], yticks=[])
            ax.grid(visible=False)
            ax.spines[:].set_visible(False)
    return figure


def maps_of_signs(pictures: np.ndarray, names: Sequence[str], plus: np.ndarray) -> Figure:
    """A row per picture (N, 3, H, W), called by its class, and maps (N, K, h, w) of where the sign is +1."""
    with drawing(9, 4.6) as figure:
        for row, axes in enumerate(figure.subplots(len(pictures), 1 + plus.shape[1])):
            axes[0].imshow(pictures[row].transpose(1, 2, 0))
            axes[0].set_title(names[row], fontsize=10)
            for channel, ax in enumerate(axes[1:]):
                ax.imshow(plus[row, channel], cmap=SIGNS, vmin=0, vmax=1)
                ax.set_title(f"channel {channel}" if row == 0 else "", fontsize=10)
            for ax in axes:
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
        figure.suptitle("light orange: +1, dark blue: −1", x=0.01, ha="left", fontsize=11)
    return figure


def accuracies(courses: Mapping[str, Sequence[float]], pictures: int) -> Figure:
    """Accuracy [%] on so many ``pictures`` after each epoch, a line for each of up to four networks."""
    with drawing(7.5, 3.6) as figure:
        ax = figure.subplots()
        for (name, course), (colour, marker, line) in zip(courses.items(), LOOKS):
            epochs = range(1, len(course) + 1)
            ax.plot(epochs, course, color=colour, marker=marker, ls=line, mec=BLACK, mew=0.6, label=name)
        ax.set(xlabel="epoch", ylabel="accuracy [%]", ylim=(45, 101))
        ax.set_title(f"{pictures} scored patches, one seed each")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.legend(loc="center right", fontsize=10)
    return figure
