"""What a network answers: the table against the logits, the confusion matrix by counting, the right pictures."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from standin import CLASSES, write_run

import sdbnn_lite as sd
from sdbnn_lite import data
from sdbnn_lite.analysis import predictions, tables
from sdbnn_lite.analysis.predictions import Collector
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.files import write_csv
from sdbnn_lite.training.evaluate import evaluate


@pytest.fixture(scope="module")
def answered():
    """(table, network, images, score) of a committed digits network."""
    net, images = sd.load("digits_bnn"), data.load("digits")
    collector = Collector(net)
    score = evaluate(net, images, batch_size=77, forward=collector)
    return collector.table(images), net, images, score


def test_every_image_has_a_row_in_order(answered):
    table, net, images, score = answered
    assert list(table.columns) == list(predictions.COLUMNS) and len(table) == images.num_test
    x = next(iter(images.test_batches(images.num_test)))[0]
    with torch.no_grad():
        p = net(x).softmax(1).numpy()
    assert (table["true"] == images.test_labels.numpy()).all() and (table["predicted"] == p.argmax(1)).all()
    assert (table["predicted"] == table["true"]).mean() == score.top1
    for place in (0, 100, 359):
        row = table.loc[place]
        assert row["p_true"] == pytest.approx(p[place, int(row["true"])], abs=6e-4)
        assert row["p_predicted"] == pytest.approx(p[place].max(), abs=6e-4)


def test_written_and_read_again_it_is_the_same_and_small(answered, tmp_path):
    table = answered[0]
    write_csv(tmp_path / "p.csv", table.to_dict("records"))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "p.csv"), table)
    assert (tmp_path / "p.csv").stat().st_size < 17 * len(table) + 100  # 10,000 images: below 170 KB
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == "true,predicted,p_true,p_predicted"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_the_confusion_matrix_counts(pairs):
    table = pd.DataFrame(pairs, columns=["true", "predicted"])
    counts = predictions.confusion(table, 5)
    assert counts.sum() == len(pairs)
    for i in range(5):
        for j in range(5):
            assert counts[i, j] == pairs.count((i, j))
    found = predictions.most_confused(counts)
    both = {(i, j): pairs.count((i, j)) + pairs.count((j, i)) for i in range(5) for j in range(i + 1, 5)}
    assert [n for *_, n in found] == [n for n in sorted(both.values(), reverse=True)[:3] if n]
    assert all(both[i, j] == n for i, j, n in found)


def test_the_surest_mistakes_are_wrong_sure_and_of_several_classes():
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.integers(0, 10, (500, 2)), columns=["true", "predicted"])
    table["p_predicted"] = random.random(500)
    found = predictions.surest_mistakes(table, most=12, per_class=2)
    assert len(found) == 12 and (found["true"] != found["predicted"]).all()
    assert found["p_predicted"].is_monotonic_decreasing and found["true"].value_counts().max() <= 2
    wrong = table[table["true"] != table["predicted"]]
    assert found.index[0] == wrong["p_predicted"].idxmax()
    left_out = wrong.drop(found.index)
    full = found["true"].value_counts().loc[lambda n: n == 2].index
    assert left_out.loc[~left_out["true"].isin(full), "p_predicted"].max() <= found["p_predicted"].min()
    assert predictions.surest_mistakes(table[table["true"] == table["predicted"]]).empty


def test_pictures_are_those_images(answered):
    table, _, images, _ = answered
    chosen = table.loc[[5, 0, 100]]
    found = predictions.pictures(chosen, images, images.label)
    assert found.shape == (3, 8, 8, 1)
    assert (found[1, :, :, 0] == images.test_images[0, 0].numpy()).all()
    with pytest.raises(UsageError, match="digits .* given, but the predictions are for CIFAR-10"):
        predictions.pictures(chosen, images, "CIFAR-10")
    with pytest.raises(UsageError, match="in its order"):
        predictions.pictures(chosen.assign(true=3), images, images.label)


def test_a_published_run_s_predictions_and_none(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    write_run(tmp_path, "a", "cifar10-resnet20", 3, 0.8)
    table, classes = predictions.read_predictions("a")
    assert len(table) == 10_000 and list(classes) == CLASSES
    (tmp_path / "runs" / "a" / "predictions.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UsageError, match="the columns are x, y"):
        predictions.read_predictions("a")
    for name in ("b", "absent"):
        with pytest.raises(UsageError, match=f"runs/{name} holds no predictions; `sdbnn-lite publish RUN --data"):
            predictions.read_predictions(name)
