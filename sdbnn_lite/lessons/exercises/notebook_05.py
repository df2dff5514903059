"""Notebook 05's exercises: how far a sample may be off, the right control, a compressed schedule, precision."""

import math

import numpy as np

from ...core.binarize import ede_schedule
from ...training.recipes import RECIPES
from . import Exercise

RECIPE = RECIPES["cifar10-resnet20"]


def _standard_error(standard_error) -> bool:
    for p, n in ((0.87, 10_000), (0.5, 10_000), (0.5, 100), (1.0, 10_000)):
        images = np.arange(n) < round(p * n)  # 1 where the network is right
        found, wanted = standard_error(p, n), 100 * images.std() / math.sqrt(n)
        assert math.isclose(found, wanted, abs_tol=1e-9), f"standard_error({p}, {n}) is {found}"
    return True


def _schedule(schedule) -> bool:
    for epochs in (15, 100, 1):
        for epoch in {0, epochs // 2, epochs - 1}:
            wanted = (RECIPE.with_epochs(epochs).lr_at(epoch), ede_schedule(epoch, epochs, *RECIPE.ede))
            got = schedule(epoch, epochs)
            for name, mine, right in zip(("lr", "t"), got, wanted, strict=True):
                said = f"epoch {epoch} of {epochs}: {name} = {mine:.4g} isn't on the schedule"
                assert math.isclose(mine, right, rel_tol=1e-6), said
    return True


def _precision(precision) -> bool:
    random = np.random.default_rng(0)
    true, said = random.integers(0, 4, 500), random.integers(0, 4, 500)
    for answers in (said, true, np.where(said == 2, 0, said)):  # mixed; all right; one class that is never answered
        counts = np.array([[np.sum((true == i) & (answers == j)) for j in range(4)] for i in range(4)])
        given = [true[answers == j] == j for j in range(4)]
        wanted = [one.mean() if len(one) else 0.0 for one in given]
        found = np.asarray(precision(counts), dtype=float)
        assert found.shape == (4,), f"one number per class is needed; the shape is {found.shape}, not (4,)"
        never = " (a class that is never answered counts as 0)" * (0.0 in wanted)
        assert np.allclose(found, wanted), f"for a matrix of 4 classes it gives {found.round(2)}{never}"
    return True


EXERCISES = {
    "standard_error": Exercise(
        _standard_error,
        right="a third of a point at 87 % and 10,000 images. So 86.9 and 87.2 % may well be equally good networks.",
        hint="divide p·(1 − p) by n, take the root, and multiply by 100 to get points.",
        solution="def standard_error(p, n):\n    return 100 * (p * (1 - p) / n) ** 0.5",
    ),
    "control": Exercise(
        lambda name: name == "ede",
        right="with it beside them, the gradient's part can be told from the shifts' part.",
        hint="notebook 04 has a table of the methods; look for the one that only has another gradient.",
        solution='the_control = "ede"',
    ),
    "schedule": Exercise(
        _schedule,
        right="at the end lr is about lr₀·(π/2E)²: 100 epochs make the last steps some 44 times smaller than 15 do, "
              "while t ends at 9.1 instead of 5.4.",
        hint="the first epoch is 0: there lr is 0.11 and t is 0.001. Both depend on epoch / epochs alone.",
        solution="def schedule(epoch, epochs):\n"
                 "    import math\n"
                 "    done = epoch / epochs\n"
                 "    return 0.11 * (1 + math.cos(math.pi * done)) / 2, 0.001 * (10 / 0.001) ** done",
    ),
    "precision": Exercise(
        _precision,
        right="the share of cats that were found is called recall, the share of right answers *cat* precision.",
        hint="the diagonal, divided by the sums of the columns; what is divided by 0 where an answer never comes?",
        solution="def precision(counts):\n    return counts.diagonal() / counts.sum(axis=0).clip(min=1)",
    ),
}  # fmt: skip
