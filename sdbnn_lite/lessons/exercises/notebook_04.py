"""Notebook 04: entropy and sign difference of channels, which methods to compare, how many seeds."""

import numpy as np
import torch

from . import Exercise


def _channel_signs(channel_signs) -> bool:
    """Against scipy's entropy, and against counting how many pairs of outputs differ."""
    from scipy.stats import entropy
    draw = torch.Generator().manual_seed(0)
    for shape in ((6, 5, 4, 3), (1, 3, 2, 2), (7, 4)):
        y = torch.randint(-2, 3, shape, generator=draw).float()  # a fifth is 0
        y[:, 0], y[:, 1] = 3, -1  # dead channels
        before = y.clone()
        bits, differ = (torch.as_tensor(found, dtype=torch.float64) for found in channel_signs(y))
        assert torch.equal(y, before), "it changes the outputs that it was given"
        assert bits.shape == differ.shape == (shape[1],), f"outputs of shape {shape}: one number per channel is needed"
        assert bits.isfinite().all(), "a channel whose outputs all have one sign has to get 0 bit"
        for channel, values in enumerate(y.movedim(1, 0).flatten(1).numpy()):
            plus = values >= 0
            case = f"outputs of shape {shape}, channel {channel}"
            right = entropy([plus.sum(), (~plus).sum()], base=2)
            assert abs(bits[channel] - right) < 1e-5, f"{case}: {bits[channel]:.3f} bit; {right:.3f} is right"
            pairs = np.mean(plus[:, None] != plus[None, :])
            assert abs(differ[channel] - pairs) < 1e-5, f"{case}: {pairs:.3f} of the pairs of outputs differ in sign"
    return True


EXERCISES = {
    "channel_signs": Exercise(
        _channel_signs,
        right="both are largest at P = ½ and fall to both sides, so they sort channels alike: one of them is enough.",
        hint="P is the mean of y >= 0 over all dimensions but the second; sign(0) is +1; 0 · log2(0) counts as 0.",
        solution="""def channel_signs(y):
    plus = (y >= 0).double().mean(dim=[d for d in range(y.ndim) if d != 1])
    bits = -sum(p * p.clamp(min=1e-300).log2() for p in (plus, 1 - plus))
    return bits, 2 * plus * (1 - plus)""",
    ),
    "only_the_gradient": Exercise(
        lambda *methods: {*methods} == {"bnn", "ede"},
        right="they differ in the gradient alone. Now compare their entropies with the seeds' spread.",
        hint="find two methods that differ in the gradient and in nothing else: see the table of part 1.",
        solution='compare_these = "bnn", "ede"',
    ),
    "seeds": Exercise(
        lambda seeds: seeds == np.ceil(2 * (2 * 0.7 / 0.5) ** 2),
        right="and with few test images an accuracy is uncertain, however many seeds there are.",
        hint="solve 2·s·√(2/n) = d for n, and round up.",
        solution="seeds_needed = 16",
    ),
}
