"""Notebook 07: a dot product by popcount, the words of a layer, Amdahl's law."""

import numpy as np

from ...cost.count import cost
from ...packed.words import pack_words
from . import Exercise

LENGTHS = (1, 5, 63, 64, 65, 70, 128, 200, 577)


def _popcounts(dot) -> bool:
    draw = np.random.default_rng(0)
    for n in LENGTHS:
        for unused in ("0", "1 on both sides", "anything"):
            x, w = draw.choice([-1, 1], (2, n))
            words = pack_words(np.stack([x, w]) > 0)
            free = ~pack_words(np.ones(n, bool))  # the bits that hold no sign
            if unused != "0":
                words |= free & (draw.integers(0, 2**64, words.shape, np.uint64) if unused == "anything" else free)
            before = words.copy()
            found = dot(words[0], words[1], n)
            case = f"n = {n}, unused bits: {unused}"
            assert np.array_equal(words, before), f"{case}: the function changes its arguments"
            assert np.ndim(found) == 0 and int(found) == int(x @ w), f"{case}: {found} is returned, {x @ w} is right"
    return True


EXERCISES = {
    "popcount_dot": Exercise(
        test=_popcounts,
        right="every length agrees with the sum of products, whatever the unused bits hold.",
        hint="x ^ w marks the places that differ; of the last word only n % 64 bits count, if that isn't 0. "
        "`np.uint64((1 << k) - 1)` has k bits set.",
        solution="""def dot(x, w, n):
    different = x ^ w  # a new array
    if n % 64:
        different[-1] &= np.uint64((1 << n % 64) - 1)
    return n - 2 * int(np.bitwise_count(different).sum())""",
    ),
    "words": Exercise(
        test=lambda words_per_output: words_per_output == 9 * 2,
        right="two words at each of nine taps; 22 % of their bits hold nothing.",
        hint="how many words of 64 bits do 100 channels need? And how many taps are there?",
        solution="words_per_output = 9 * 2",
    ),
    "at_the_most": Exercise(
        test=lambda found: abs(found - cost("imagenet_resnet18", "float").total("ops")  # over those that stay real
                               / cost("imagenet_resnet18", "bnn").total("flops")) < 0.2,  # the table has one decimal
        right="compare it with the column of what is reached already: faster bits would hardly help here.",
        hint="what share of the OPs is left if the binary ones cost nothing?",
        solution='found = costs.operations("imagenet_resnet18")\n'
        'at_the_most = found["times fewer"] / (1 - found["OPs"] / 100)',
    ),
}  # fmt: skip
