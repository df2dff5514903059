"""A row of signs.csv: what one binary layer's signs say, in a few numbers."""

import numpy as np

from ..core.record import LayerSigns

SHARE_BINS = 20  # of the share of +1, from 0 to 1


def summary_row(layer: LayerSigns) -> dict[str, float | str]:
    """One row of signs.csv: means over the layer's channels, and how its output channels are spread.

    ``dead_channels`` is a count; ``share_histogram`` counts the output channels in ``SHARE_BINS`` equal bins of their
    share of +1, joined by blanks.
    """
    histogram, _ = np.histogram(layer.output, bins=SHARE_BINS, range=(0, 1))
    means: dict[str, np.ndarray | float]
    means = {"input_before": layer.input_before, "input_after": layer.input_after, "input_flips": layer.input_flips,
             "weight_before": layer.weight_before, "weight_after": layer.weight_after,
             "weight_flips": layer.weight_flips, "output": layer.output, "entropy": layer.entropy,
             "sign_difference": layer.sign_difference}  # fmt: skip
    return {**{name: round(float(np.mean(value)), 6) for name, value in means.items()},
            "dead_channels": int(layer.dead.sum()), "share_histogram": " ".join(map(str, histogram))}  # fmt: skip
