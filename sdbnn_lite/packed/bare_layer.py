"""A binary convolution and nothing else, as the engines of ``packed`` want it: what is timed, and what is tested."""

import numpy as np

from .network import side_by_side
from .words import Base, Geometry, base_of, pack_weights


class BareLayer:
    """The convolution of w (O, C, k, k), every value ±1, with a stride and a padding."""

    def __init__(self, w: np.ndarray, stride: int = 1, padding: int = 1):
        self.outputs, self.channels, self.kernel, _ = w.shape
        self.stride, self.padding = stride, padding
        self.words = pack_weights(w)
        self.blocks = side_by_side(self.words)
        self.bases: dict[Geometry, Base] = {}

    def geometry(self, padded: np.ndarray) -> Geometry:
        """The sizes for words (N, H + 2·padding, W + 2·padding, K), which have their border already.

        Raises UsageError where the images are too small for the kernel.
        """
        height, width = (side - 2 * self.padding for side in padded.shape[1:3])
        return Geometry(self.channels, self.outputs, height, width, self.kernel, self.stride, self.padding)

    def base(self, geometry: Geometry) -> Base:
        """The border's table, made once per image size."""
        if geometry not in self.bases:
            self.bases[geometry] = base_of(self.words, geometry)
        return self.bases[geometry]
