"""Faults of bits, and the fast step: what numba compiles."""

from .mutant import Mutant

MUTANTS = (
    Mutant(
        "sign-of-zero-packed",
        "sign(0) is -1 where the bit-packed network compares 64 activations at once.",
        "packed/tiles.py",
        "(a + b >= 0.0).bits_as",
        "(a + b > 0.0).bits_as",
        ("packed/test_packed.py::test_convolutions_are_exact",),
    ),
    Mutant(
        "packed-int16-border",
        "Sums up to 32,767 are kept in 16 bits, which the threshold above all of them doesn't fit into.",
        "packed/words.py",
        "most < 2**15 - 1 else",
        "most < 2**15 else",
        ("packed/test_sum_type.py",),
    ),
    Mutant(
        "packed-border-correction",
        "The padded taps of a bit-packed convolution are put right by half of what they need.",
        "packed/words.py",
        "[:, :, None] + 2 * outside",
        "[:, :, None] + outside",
        ("packed/test_packed.py::test_borders_of_every_class",),
    ),
    Mutant(
        "sign-of-zero-fast",
        "sign(0) is -1 in the forward pass of the fast step.",
        "fast/rows.py",
        "shifts[at // VECTOR] >= 0.0",
        "shifts[at // VECTOR] > 0.0",
        ("fast/test_fast.py::test_one_layer",),
    ),
)
