"""The exercises of notebooks 06 and 07: their solutions pass, and so does no version with a usual mistake."""

import numpy as np
import pytest
import torch

from sdbnn_lite.analysis import costs
from sdbnn_lite.lessons.exercises import exercise, find


def said(name, answer, capsys):
    exercise(name, answer)
    return capsys.readouterr().out


@pytest.mark.parametrize("name, answer", [("06/loss", "loss_by_hand"), ("06/distillation", "distillation_loss"),
                                          ("07/popcount_dot", "dot"), ("07/words", "words_per_output"),
                                          ("07/at_the_most", "at_the_most")])  # fmt: skip
def test_the_solution_is_right(name, answer, capsys):
    given = {"np": np, "torch": torch, "costs": costs}
    exec(find(name).solution, given)
    assert said(name, given[answer], capsys).startswith("right: ")


def forgets_unused_bits(x, w, n):
    return n - 2 * int(np.bitwise_count(x ^ w).sum())


def masks_full_words_away(x, w, n):
    different = x ^ w
    different[-1] &= np.uint64((1 << n % 64) - 1)
    return n - 2 * int(np.bitwise_count(different).sum())


def counts_equal_places(x, w, n):
    return 64 * len(x) - 2 * int(np.bitwise_count(x ^ w).sum())


def writes_into_x(x, w, n):
    x ^= w
    if n % 64:
        x[-1] &= np.uint64((1 << n % 64) - 1)
    return n - 2 * int(np.bitwise_count(x).sum())


@pytest.mark.parametrize("dot, complaint", [(forgets_unused_bits, "unused bits: anything"),
                                            (masks_full_words_away, "n = 64"), (counts_equal_places, "n = 1, "),
                                            (writes_into_x, "changes its arguments")])  # fmt: skip
def test_a_wrong_dot_product_is_told(dot, complaint, capsys):
    answer = said("07/popcount_dot", dot, capsys)
    assert answer.startswith("not yet: ") and complaint in answer


def naive_logarithm(logits, teacher, labels, m):
    p, r = logits.softmax(1), teacher.softmax(1)
    ce = -p.log()[range(len(labels)), labels].mean()
    return (1 - m) * ce + m * (r * (r.log() - p.log())).sum(1).mean()


def swapped(logits, teacher, labels, m):
    log_p, log_r = logits.log_softmax(1), teacher.log_softmax(1)
    return (1 - m) * -log_p[range(len(labels)), labels].mean() + m * (log_p.exp() * (log_p - log_r)).sum(1).mean()


def detached(logits, teacher, labels, m):
    log_p, log_r = logits.log_softmax(1), teacher.log_softmax(1)
    kl = (log_r.exp() * (log_r - log_p)).sum(1).mean()
    return (1 - m) * -log_p[range(len(labels)), labels].mean() + m * kl.detach() + 0 * logits.sum()


def a_sum(logits, teacher, labels, m):
    log_p, log_r = logits.log_softmax(1), teacher.log_softmax(1)
    return (1 - m) * -log_p[range(len(labels)), labels].sum() + m * (log_r.exp() * (log_r - log_p)).sum()


@pytest.mark.parametrize("loss, complaint", [(naive_logarithm, "probabilities of 0"), (swapped, "m = 0.3"),
                                             (detached, "gradient"), (a_sum, "5 images"),
                                             (lambda *given: torch.zeros(2), "one number")])  # fmt: skip
def test_a_wrong_loss_is_told(loss, complaint, capsys):
    answer = said("06/distillation", loss, capsys)
    assert answer.startswith("not yet: ") and complaint in answer


@pytest.mark.parametrize("name, wrong", [("06/loss", 0.69), ("07/words", 9 * 100 / 64),
                                         ("07/at_the_most", 64), ("07/words", "18")])  # fmt: skip
def test_a_wrong_number_is_told(name, wrong, capsys):
    assert said(name, wrong, capsys).startswith("not yet: ")
