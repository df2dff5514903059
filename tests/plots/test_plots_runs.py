"""The pictures of the CIFAR-10 runs, read back from their artists: the numbers are those passed in, all can be read."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from pictures import assert_readable, boxes
from standin import CLASSES, LAYERS, PLANNED, log_rows, sign_rows

from sdbnn_lite.analysis import ablation
from sdbnn_lite.analysis.ede_gradients import Course, summary
from sdbnn_lite.analysis.predictions import surest_mistakes
from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.plots import gradients as gradient_plots
from sdbnn_lite.plots import inputs as input_plots
from sdbnn_lite.plots import runs as run_plots
from sdbnn_lite.plots import signs as sign_plots
from sdbnn_lite.plots import theme

BINARY = tuple(m for m in PLANNED if m != "float")


def made_signs(methods=BINARY, seeds=2, layers=LAYERS):
    """Final signs beside accuracies, as ``ablation.signs_and_accuracy`` gives them."""
    random = np.random.default_rng(3)
    parts = [sign_rows(1, m, random, layers).assign(method=m, seed=s, test_accuracy=random.uniform(0.7, 0.8))
             for m in methods for s in range(seeds)]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def made_curves(*epochs):
    random = np.random.default_rng(4)
    titles = ("ResNet-18", "ResNet-20", "VGG-Small", "another")
    return {f"{title}, {n} epochs": (log_rows(n, 0.8, random), 90.8, n) for title, n in zip(titles, epochs)}


def made_runs(*epochs, name="run {}"):
    random = np.random.default_rng(6)
    logs = [log_rows(n, 0.8, random).assign(ede_t=np.geomspace(1e-3, 10, n)) for n in epochs]
    return {name.format(number): log for number, log in enumerate(logs)}


def made_courses(*optimizers):
    """SD-BNN's courses of 20, 40, … epochs, and their ends."""
    relative = pd.Series([0.002, 0.002, 0.1, 0.2], index=[0.01, 1.0, 5.0, 10.0])
    courses = []
    for number, optimizer in enumerate(optimizers, start=1):
        done = np.arange(20 * number) / (20 * number)
        log = pd.DataFrame({"epoch": np.arange(20 * number) + 1, "ede_t": 0.001 * 10_000**done, "lr": 0.1 * (1 - done),
                            "train_accuracy": 0.5 + 0.1 * done, "test_accuracy": 0.5})  # fmt: skip
        relative[log["ede_t"].iloc[-1]] = 0.15
        schedule = f"{20 * number} epochs, {optimizer}"
        courses.append(Course("sdbnn", schedule, optimizer, relative.sort_index().copy(), log))
    return courses, summary(courses)


def made_shares(runs):
    """What ``input_shares`` gives of as many runs."""
    shares = [pd.DataFrame({"input_before": np.linspace(50, 50 - 5 * k, 9), "input_after": np.linspace(70, 60 - k, 9)},
                           index=np.arange(1, 10)) for k in range(runs)]  # fmt: skip
    ends = pd.DataFrame({"label": [f"ResNet-18, {k + 1} epochs" for k in range(runs)],
                         "before": np.linspace(20, 50, runs), "after": np.linspace(40, 90, runs)})  # fmt: skip
    return {f"ResNet-20, {k} epochs": table for k, table in enumerate(shares)}, ends


def made_counts(seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 120, (10, 10)) + np.diag(random.integers(700, 900, 10))


def made_mistakes(n=12):
    random = np.random.default_rng(5)
    table = pd.DataFrame({"true": np.arange(n) % 10, "predicted": (np.arange(n) + 1) % 10,
                          "p_true": 0.1, "p_predicted": np.linspace(1, 0.5, n).round(3)})  # fmt: skip
    return random.integers(0, 255, (n, 32, 32, 3), dtype=np.uint8), table


def against(table, measure="sign_difference"):
    found = ablation.correlation(ablation.over_seeds(table), measure)
    runs, layers = ablation.over_layers(table), ablation.by_layer(table, measure)
    return sign_plots.signs_against_accuracy(runs, layers, found, measure, "measured on\nthese")


DRAWN = {
    "run_curves": lambda: run_plots.run_curves(made_curves(10, 100, 10), "measured on\nthese"),
    "run_curves of one": lambda: run_plots.run_curves(made_curves(100)),
    "run_curves of four": lambda: run_plots.run_curves(made_curves(600, 500, 400, 1)),
    "compared": lambda: run_plots.compared(made_runs(30, 17, 1), "Three runs", "measured on\nthese"),
    "compared, one epoch": lambda: run_plots.compared(made_runs(1), "One run"),
    "compared, many": lambda: run_plots.compared(
        made_runs(*[50] * 12, name="runs/cifar10-resnet20-evening-seed{}, epoch 50 of 600"), "Twelve runs"
    ),
    "against_control": lambda: sign_plots.against_control(made_signs(), "ede", "Below", caption="measured on\nthese"),
    "against_control of entropy": lambda: sign_plots.against_control(made_signs(), "bnn", "Above", "entropy"),
    "against_control of one layer": lambda: sign_plots.against_control(
        made_signs(("bnn", "asd"), layers=["conv2"]), "bnn", "One"
    ),
    "effective_steps": lambda: gradient_plots.effective_steps(*made_courses("sgd"), "Steps", "measured on\nthese"),
    "effective_steps of many": lambda: gradient_plots.effective_steps(*made_courses("sgd", "adam", "adam"), "Steps"),
    "before_and_after": lambda: input_plots.before_and_after(*made_shares(2), "Shares", "measured on\nthese"),
    "before_and_after of many": lambda: input_plots.before_and_after(*made_shares(6)),
    "signs_against_accuracy": lambda: against(made_signs(), "entropy"),
    "signs_against_accuracy of one run": lambda: against(made_signs(("sdbnn",), 1)),
    "confusion_matrix": lambda: run_plots.confusion_matrix(made_counts(), CLASSES, "What for what", "on\nall"),
    "mistakes": lambda: run_plots.mistakes(*made_mistakes(), CLASSES, "Wrong", "measured on\nthese"),
    "one mistake": lambda: run_plots.mistakes(*made_mistakes(1), CLASSES, "Wrong"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_text_can_be_read(drawn, name):
    assert_readable(drawn[name])
    for ax in drawn[name].axes:  # the layout gives up where something lies far outside its axes
        assert ax.get_position().width > 0.13 and ax.get_position().height > 0.04


@pytest.mark.parametrize("name", ["run_curves", "run_curves of four", "signs_against_accuracy", "compared, many",
                                  "effective_steps of many", "before_and_after of many"])  # fmt: skip
def test_the_legend_covers_nothing(drawn, name):
    figure = drawn[name]
    (legend,) = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    found = boxes(figure)
    box = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())  # at the same dpi
    for text, other in found:
        assert not box.overlaps(other), text
    assert 0 <= box.x0 and box.x1 <= figure.bbox.width


@pytest.mark.parametrize(
    "name", ["run_curves", "against_control", "effective_steps", "before_and_after", "signs_against_accuracy",
             "confusion_matrix", "mistakes"],
)
def test_bytes_are_the_same_each_time(drawn, name):
    again = DRAWN[name]()
    assert theme.png_bytes(again) == theme.png_bytes(drawn[name])
    assert theme.svg_bytes(drawn[name]) == theme.svg_bytes(again)


def line(ax, label):
    (found,) = [each for each in ax.lines if each.get_label() == label]
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def test_curves_show_every_epoch_and_both_protocols(drawn):
    for ax, (log, paper, _) in zip(drawn["run_curves"].axes, made_curves(10, 100, 10).values()):
        percent = 100 * log["test_accuracy"].to_numpy()
        assert line(ax, "test images")[1] == pytest.approx(percent)
        assert line(ax, "training images, augmented")[1] == pytest.approx(100 * log["train_accuracy"])
        x, y = line(ax, "best epoch on the test images")
        assert (x[0], y[0]) == (percent.argmax() + 1, percent.max())
        x, y = line(ax, "last epoch: our number")
        assert (x[0], y[0]) == (len(log), percent[-1])
        assert set(line(ax, "the paper's number")[1]) == {paper}
        assert f"last {percent[-1]:.2f} %, best {percent.max():.2f} %" in ax.get_title(loc="left")


def test_a_run_under_way_has_its_whole_axis_and_no_number_of_ours():
    (log, paper, _), finished = made_curves(60, 10).values()
    ax, other = run_plots.run_curves({"epoch 60 of 500": (log, paper, 500), "10 epochs": finished}).axes[:2]
    labels = ["training images, augmented", "test images", "the paper's number"]
    assert ax.get_xlim() == (0, 500) and [each.get_label() for each in ax.lines] == labels
    assert line(ax, "test images")[0][-1] == 60 and len(other.lines) == 5
    assert f"not finished; last {100 * log['test_accuracy'].iloc[-1]:.2f} %" in ax.get_title(loc="left")


def test_compared_runs_are_drawn_as_far_as_they_go_and_look_different(drawn):
    accuracy, loss, rate, t = drawn["compared"].axes[:4]
    logs = made_runs(30, 17, 1).values()
    solid = [each for each in accuracy.lines if each.get_linestyle() == "-"]
    dashed = [each for each in accuracy.lines if each.get_linestyle() == "--"]
    for log, test, training in zip(logs, solid, dashed, strict=True):
        assert test.get_ydata() == pytest.approx(100 * log["test_accuracy"])
        assert training.get_ydata() == pytest.approx(100 * log["train_accuracy"])
        marks = np.arange(len(log))[test.get_markevery()]
        assert marks[-1] == len(log) - 1 and len(marks) <= 8
    assert len(loss.lines) == 6 and len(rate.lines) == len(t.lines) == 3 and t.get_yscale() == "log"
    many = drawn["compared, many"].axes[3].lines
    assert len({(each.get_color(), each.get_marker()) for each in many}) == 12
    for nothing in ({}, {"a": pd.DataFrame({"epoch": []})}):
        with pytest.raises(UsageError, match="at least one is needed, and an epoch of each"):
            run_plots.compared(nothing, "x")


def test_each_method_stands_beside_the_control_in_the_network_s_order(drawn):
    table = made_signs()
    axes = drawn["against_control"].axes
    others = [m for m in METHODS if m in BINARY and m != "ede"]
    assert [ax.get_title(loc="left").split("\n")[0] for ax in axes] == [METHODS[m].short for m in others]
    mean = table.groupby(["method", "layer"])["sign_difference"].mean()
    for ax, method in zip(axes, others, strict=True):
        usual, curve = (each.get_ydata() for each in ax.lines[:2])
        for place in (0, 7, 17):
            assert usual[place] == pytest.approx(mean["ede", LAYERS[place]])
            assert curve[place] == pytest.approx(mean[method, LAYERS[place]])
        lower = sum(mean[method, layer] < mean["ede", layer] for layer in LAYERS)
        assert f"lower in {lower} of 18" in ax.get_title(loc="left")
        assert [each.get_xdata()[0] for each in ax.lines if each.get_linestyle() == "--"] == [6.5, 12.5]
    assert "grey: EDE alone" in drawn["against_control"]._supxlabel.get_text()


def test_without_the_control_or_another_method_it_is_refused():
    with pytest.raises(UsageError, match="none of ede is in the table"):
        sign_plots.against_control(made_signs(("bnn",)), "ede", "x")
    with pytest.raises(UsageError, match="no method given"):
        sign_plots.against_control(made_signs(("bnn",)), "bnn", "x")
    with pytest.raises(UsageError, match="unknown method 'x'"):
        sign_plots.against_control(made_signs(("bnn",)), "x", "x")
    with pytest.raises(UsageError, match="measure='accuracy': choose one of entropy"):
        sign_plots.against_control(made_signs(("bnn", "asd")), "bnn", "x", "accuracy")


def test_steps_are_those_of_the_courses_and_each_end_is_a_marker(drawn):
    courses, ends = made_courses("sgd", "adam", "adam")
    left, right = drawn["effective_steps of many"].axes[:2]
    for course in courses:
        label = f"SD-BNN, {course.schedule}"
        shown = line(left, label)
        assert shown[0] == pytest.approx(100 * course.steps()["share"])
        assert shown[1] == pytest.approx(course.steps()["step"])
    styles = [each.get_linestyle() for each in left.lines if each.get_label().startswith("SD-BNN")]
    assert len(set(styles)) == len(courses)
    dots = [(each.get_xdata()[0], each.get_ydata()[0]) for each in right.lines if each.get_marker() == "*"]
    assert dots == list(zip(ends["step"], ends["train"]))
    with pytest.raises(UsageError, match="courses: empty"):
        gradient_plots.effective_steps([], ends, "x")


def test_shares_are_drawn_before_and_after_and_each_run_is_an_arrow(drawn):
    courses, ends = made_shares(2)
    left, right = drawn["before_and_after"].axes[:2]
    for label, shares in courses.items():
        assert line(left, f"{label}, before")[1] == pytest.approx(shares["input_before"])
        assert line(left, f"{label}, after the shift")[1] == pytest.approx(shares["input_after"])
    arrows = [(text.xyann[0], text.xy[0]) for text in right.texts]
    assert arrows == list(zip(ends["before"], ends["after"]))
    with pytest.raises(UsageError, match="empty"):
        input_plots.before_and_after({}, ends)


def test_the_scatter_has_every_run_and_the_stems_every_layer(drawn):
    table = made_signs()
    left, right = drawn["signs_against_accuracy"].axes[:2]
    runs = ablation.over_layers(table)
    points = {(x, y) for each in left.lines for x, y in zip(each.get_xdata(), each.get_ydata())}
    assert points == set(zip(runs["entropy"], 100 * runs["test_accuracy"]))
    found = ablation.correlation(ablation.over_seeds(table), "entropy")
    assert f"8 methods: ρ = {found.rho:+.2f}, p = {found.p:.2f}" in left.get_title(loc="left")
    layers = ablation.by_layer(table, "entropy")
    dots = sorted((y, x) for each in right.lines if each.get_marker() == "o"
                  for x, y in zip(each.get_xdata(), each.get_ydata()))  # fmt: skip
    assert [x for _, x in dots] == pytest.approx(layers["rho"]) and [y for y, _ in dots] == list(range(1, 19))


def test_too_few_methods_say_so(drawn):
    left, right = drawn["signs_against_accuracy of one run"].axes[:2]
    assert "too few" in left.get_title(loc="left") and "needs 5 methods" in right.get_title(loc="left")


def test_the_matrix_shows_every_count_and_each_row_s_share(drawn):
    counts, (ax,) = made_counts(), drawn["confusion_matrix"].axes
    shown = {tuple(reversed(t.get_position())): t for t in ax.texts[: counts.size]}
    for (i, j), n in np.ndenumerate(counts):
        assert shown[i, j].get_text() == (str(n) if n else "·")
        assert (shown[i, j].get_weight() == "bold") == (i == j)
    notes = [t.get_text() for t in ax.texts[counts.size :]]
    assert notes[:10] == [f"{100 * counts[i, i] / counts[i].sum():.1f} %" for i in range(10)]
    (picture,) = ax.images
    assert np.diag(picture.get_array()).max() == 0  # only mistakes are shaded
    for wrong in (counts[:9], counts - 1000):
        with pytest.raises(UsageError, match="counts: shape"):
            run_plots.confusion_matrix(wrong, CLASSES, "x")


def test_mistakes_show_the_pictures_and_both_classes(drawn):
    pictures, table = made_mistakes()
    axes = drawn["mistakes"].axes
    assert len(axes) == 12
    for ax, picture, row in zip(axes, pictures, table.itertuples()):
        assert (ax.images[0].get_array() == picture).all()
        assert ax.get_title(loc="left") == CLASSES[row.true]
        assert ax.get_xlabel().startswith(f"“{CLASSES[row.predicted]}”")
    assert axes[0].get_xlabel().endswith("> 99.9 %") and axes[-1].get_xlabel().endswith("50.0 %")
    with pytest.raises(UsageError, match="12 images and 3 rows"):
        run_plots.mistakes(pictures, table.head(3), CLASSES, "x")
    nothing = surest_mistakes(table.assign(predicted=table["true"]))
    with pytest.raises(UsageError, match="0 images and 0 rows"):
        run_plots.mistakes(pictures[:0], nothing, CLASSES, "x")


def test_nothing_to_draw_is_said():
    with pytest.raises(UsageError, match="runs: empty"):
        run_plots.run_curves({})


def test_the_four_methods_that_are_compared_most_differ_in_colour_for_everybody():
    """Distances in OKLab, as seen and as with deuteranopia and protanopia (Machado et al. 2009)."""
    deuteranopia = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    protanopia = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    to_lms = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
              [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
    to_lab = [[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099],
              [0.0259040371, 0.7827717662, -0.808675766]]  # fmt: skip

    def lab(method, view):
        srgb = np.array(to_rgb(theme.COLOURS[method]))
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        return to_lab @ np.cbrt(to_lms @ np.clip(view @ linear, 0, 1))

    for view in map(np.array, (np.eye(3), deuteranopia, protanopia)):
        for one, other in itertools.combinations(("rsign", "asd", "wsd", "sdbnn"), 2):
            assert np.linalg.norm(lab(one, view) - lab(other, view)) > 0.2, (one, other)
    assert set(theme.COLOURS) == set(theme.MARKERS) == set(METHODS)
