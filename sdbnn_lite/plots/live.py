"""One training run epoch by epoch, drawn while it goes on: accuracy, and what the signs of its binary layers do."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ..core.methods import get_method
from .theme import BLACK, BLUE, RED, drawing

LOOKS = ((BLUE, "-", "o"), (RED, "--", "s"))  # of the layers: colour, line, marker


def training_so_far(log: Sequence[dict], signs: Sequence[dict], epochs: int, method: str) -> Figure:
    """Three panels over ``epochs`` epochs, of which some or none are done.

    ``log``, ``signs``: their rows of log.csv and signs.csv (see ``run_folder``). Accuracy on the test images; entropy
    of the output signs, mean over a layer's channels; share of +1 among a layer's inputs, dotted before the shift.
    """
    layers = list(dict.fromkeys(row["layer"] for row in signs))
    with drawing(10, 3.1, fixed=True) as figure:
        margins = {"left": 0.07, "right": 0.99, "bottom": 0.19, "top": 0.81, "wspace": 0.27}
        accuracy, entropy, plus = figure.subplots(1, 3, gridspec_kw=margins)
        done = [row["epoch"] for row in log]
        accuracy.plot(done, [100 * row["test_accuracy"] for row in log], color=BLACK, marker="o", ms=4)
        for layer, (colour, line, marker) in zip(layers, LOOKS * len(layers)):
            rows = [row for row in signs if row["layer"] == layer]
            x, look = [row["epoch"] for row in rows], {"color": colour, "ls": line, "marker": marker, "ms": 4}
            entropy.plot(x, [row["entropy"] for row in rows], **look)
            plus.plot(x, [100 * row["input_after"] for row in rows], label=layer, **look)
            if any(row["input_before"] != row["input_after"] for row in rows):
                plus.plot(x, [100 * row["input_before"] for row in rows], color=colour, ls=":", lw=1.5)
        accuracy.set(title="Accuracy, test images", ylabel="[%]", ylim=(0, 103))
        lowest = min([0.82, *(row["entropy"] for row in signs)])
        entropy.set(title="Entropy of output signs", ylabel="[bit]", ylim=(lowest - 0.02, 1.01))
        plus.set(title="+1 among the inputs", ylabel="[%]", ylim=(0, 100))
        if layers:
            plus.legend(loc="lower right", fontsize=9, title="dotted: before the shift", title_fontsize=9)
        for ax in (accuracy, entropy, plus):
            ax.set(xlim=(0, epochs + 1), xlabel="epoch")
        figure.suptitle(f"{get_method(method).short}: epoch {len(log)} of {epochs}")
    return figure
