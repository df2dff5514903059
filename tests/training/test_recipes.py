"""The published recipes are the published ones."""

import dataclasses

import numpy as np
import pytest
import torch

from sdbnn_lite.core.layers import binary_layers
from sdbnn_lite.core.models import NETWORKS, build
from sdbnn_lite.data import DATASETS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.files import read_csv
from sdbnn_lite.system.paths import PACKAGE
from sdbnn_lite.training.recipe import CHOICES, LEAST_T, MOST_T
from sdbnn_lite.training.recipes import CHAINS, RECIPES, default_method, get_recipe

PUBLISHED = {  # epochs, lr, T_min: DESIGN's table; T_max is 10
    "cifar10-resnet20": (500, 0.11, 1e-3),
    "cifar10-resnet18": (600, 0.08, 1e-3),
    "cifar10-vgg-small": (400, 0.08, 1e-1),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_cifar(name):
    r = get_recipe(name)
    assert (r.epochs, r.lr, r.ede) == (PUBLISHED[name][0], PUBLISHED[name][1], (PUBLISHED[name][2], 10.0))
    assert (r.optimizer, r.momentum, r.weight_decay, r.schedule) == ("sgd", 0.9, 1e-4, "cosine")
    assert (r.batch_size, r.pad, r.flip, r.dataset, r.published) == (128, 4, True, "cifar10", True)


@pytest.mark.parametrize("stage", [1, 2])
def test_imagenet(stage):
    r = get_recipe(f"imagenet-resnet18-stage{stage}")
    assert (r.epochs, r.lr, r.optimizer, r.schedule, r.batch_size, r.stage) == (256, 1e-3, "adam", "linear", 512, stage)
    assert r.distill == 1 and not r.published  # the paper says from which teacher, not by which loss
    larger = get_recipe(f"imagenet-resnet34-stage{stage}")
    assert larger == dataclasses.replace(r, name=larger.name, network="imagenet_resnet34", about=larger.about)


def test_rows_of_recipes():
    for name, parts in CHAINS.items():
        assert name not in RECIPES and [RECIPES[part].stage for part in parts[-2:]] == [1, 2]
        assert all(RECIPES[part].distill == 1 for part in parts[-2:])
    teacher = RECIPES["imagenette-teacher"]
    assert CHAINS["imagenette-resnet18"][0] == teacher.name and teacher.distill == 0
    assert (default_method(teacher.name), default_method("digits")) == ("float", "sdbnn")


def test_every_recipe_names_what_exists_and_each_published_one_has_one_for_an_evening():
    for name, r in RECIPES.items():
        assert name == r.name and r.dataset in DATASETS and r.network in NETWORKS and r.about
        if r.published:
            evening = RECIPES[f"{name}-evening"]
            assert (evening.network, evening.dataset) == (r.network, r.dataset)
            assert evening.epochs <= (100 if name == "cifar10-resnet20" else 30) and not evening.published


def test_the_wider_networks_evening_recipes_differ_from_resnet20s_by_what_their_width_asks_for():
    """By lr: a latent weight is about 1/√fan-in wide, and the rate follows it. Without shortcuts γ stays 1."""
    narrow = RECIPES["cifar10-resnet20-evening"]
    plain = {"gradient_bits": 16, "initial_gamma": 1.0, "ede": (0.852, 4.61)}
    others = {"cifar10-resnet18-evening": {}, "cifar10-vgg-small-evening": plain}
    for name, more in others.items():
        r = RECIPES[name]
        kept = {"name": name, "about": r.about, "network": r.network, "epochs": 20, "warmup_epochs": 1, "lr": r.lr}
        assert r == dataclasses.replace(narrow, **kept, **more)
        fan_in = [np.mean([x.weight[0].numel() for x in binary_layers(build(n, "bnn")).values()])
                  for n in (narrow.network, r.network)]  # fmt: skip
        assert r.lr / 0.0106 == pytest.approx((fan_in[0] / fan_in[1]) ** 0.5, rel=0.05)  # the search's


@pytest.mark.parametrize("network", ["cifar10-resnet20", "cifar10-resnet18", "cifar10-vgg-small"])
def test_the_name_of_before_finds_the_evening_recipe_and_says_so(network):
    with pytest.warns(FutureWarning, match=f"{network}-short is now {network}-evening"):
        assert get_recipe(f"{network}-short") is RECIPES[f"{network}-evening"]


def test_the_best_of_resnet20_is_its_evening_recipe_now():
    with pytest.warns(FutureWarning, match="cifar10-resnet20-best is now cifar10-resnet20-evening"):
        assert get_recipe("cifar10-resnet20-best") is RECIPES["cifar10-resnet20-evening"]


def test_the_evening_recipe_is_the_best_trial_of_the_committed_search_but_for_rate_warm_up_gamma_and_ede():
    trials = read_csv(PACKAGE / "results" / "searches" / "cifar10-resnet20" / "trials.csv")
    best = max((t for t in trials if t["state"] == "complete"), key=lambda t: float(t["validation_accuracy"]))
    r = RECIPES["cifar10-resnet20-evening"]
    words = ("optimizer", "schedule", "ede_k")
    assert [getattr(r, name) for name in words] == [best[name] for name in words]
    mine = [r.initial_scale, r.weight_decay]
    found = [best[n] for n in ("initial_scale", "weight_decay")]
    assert mine == pytest.approx(list(map(float, found)), rel=5e-3)
    assert (r.lr, r.warmup_epochs) == (0.005, 3)  # a run 12 times as long wants less and begins more slowly
    assert [float(best[name]) for name in ("lr", "warmup_epochs")] == pytest.approx([0.0106, 1], rel=5e-3)


@pytest.mark.parametrize("name", ["cifar10-resnet20", "imagenet-resnet18-stage2"])
def test_learning_rate_equals_torchs_schedulers(name):
    r = get_recipe(name)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=r.lr)
    if r.schedule == "cosine":
        theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, r.epochs)
    else:
        theirs = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, r.epochs)
    for epoch in range(r.epochs):
        assert r.lr_at(epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        optimizer.step()
        theirs.step()


def test_other_epochs_compress_the_schedule_and_are_not_published_any_more():
    r = get_recipe("cifar10-resnet20")
    assert r.with_epochs(None) is r and r.with_epochs(500) is r
    short = r.with_epochs(50)
    assert not short.published and short.lr_at(25) == pytest.approx(r.lr_at(250))


NEW = {  # field: what it is where the training is the published one
    "warmup_epochs": 0,
    "label_smoothing": 0.0,
    "distill": 0.0,
    "decay_all": True,
    "ema": 0.0,
    "initial_gamma": 1.0,
    "initial_scale": 1.0,
    "ede_k": "published",
    "reflect": False,
    "cutout": 0,
    "alternate_flip": False,
}


def test_every_recipe_but_ours_trains_as_published():
    for name, r in RECIPES.items():
        teacher = {"distill": 1.0} if "-stage" in name else {}
        plain = all(getattr(r, field) == default for field, default in {**NEW, **teacher}.items())
        ours = name.endswith("-evening")
        assert plain != ours and not (ours and r.published) and ("ours" in r.about) == ours, name


def test_warm_up_rises_evenly_then_the_schedule_begins():
    r = dataclasses.replace(get_recipe("cifar10-resnet20"), warmup_epochs=4, epochs=24, lr=1.0)
    assert [r.lr_at(e) for e in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    without = dataclasses.replace(r, warmup_epochs=0, epochs=20)
    assert [r.lr_at(e) for e in range(4, 24)] == pytest.approx([without.lr_at(e) for e in range(20)])


def test_warm_up_is_compressed_too():
    r = dataclasses.replace(get_recipe("cifar10-resnet18"), warmup_epochs=5)
    assert r.epochs == 600
    assert [r.with_epochs(n).warmup_epochs for n in (1200, 100, 15, 1)] == [10, 1, 0, 0]
    assert dataclasses.replace(r, epochs=6).with_epochs(1).warmup_epochs == 0
    assert r.changed(epochs=15).warmup_epochs == 0 and r.changed(epochs=15, warmup_epochs=5).warmup_epochs == 5  # said


def test_changed():
    r = get_recipe("cifar10-resnet20")
    assert r.changed() is r and r.changed(epochs=500, batch_size=128, lr=0.11) == r
    other = r.changed(batch_size=64, lr=0.05)
    assert (other.batch_size, other.lr, other.epochs, other.published) == (64, 0.05, 500, False)
    assert r.changed(epochs=7) == r.with_epochs(7)
    assert r.changed(batch_size=64).lr == pytest.approx(0.055)  # SGD: in proportion
    adam = get_recipe("imagenet-resnet18-stage1")
    assert adam.changed(batch_size=128).lr == pytest.approx(0.5e-3)  # Adam: by the square root
    assert adam.changed(batch_size=512) == adam and adam.changed(batch_size=1024, lr=1e-3).lr == 1e-3
    small = get_recipe("imagenette-resnet18-stage2").changed(image_size=64, distill=0.25)
    assert (small.image_size, small.resized, small.distill, small.lr) == (64, True, 0.25, 1e-3)
    gentle = r.changed(epochs=15, ede=(1e-3, 1.0))
    assert (gentle.ede, gentle.lr, gentle.published) == ((1e-3, 1.0), 0.11, False) and r.changed(ede=(1e-3, 10.0)) == r


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epochs": 0}, "epochs=0"),
        ({"warmup_epochs": 40}, "warmup_epochs=40: a whole number from 0 to 39"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0: a number from 0 below 1"),
        ({"ema": -0.1}, "ema=-0.1"),
        ({"distill": 1.5}, "distill=1.5: a number from 0 to 1"),
        ({"cutout": -1}, "cutout=-1"),
        ({"ede": (1.0, 0.1)}, r"ede=\(1.0, 0.1\): two finite numbers are needed, 0 < t_min <= t_max"),
        ({"ede": (0.0, 1.0)}, "ede="),
        ({"ede": (1.0, float("nan"))}, "ede="),
        ({"ede": (1.0, float("inf"))}, "ede="),
        ({"epochs": 2.5}, "epochs=2.5"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"optimizer": "rmsprop"}, "unknown optimizer 'rmsprop': choose one of sgd, adam, normsgd"),
        ({"ede_k": "one"}, "unknown ede_k 'one': choose one of published, peak"),
        ({"initial_scale": 0.0}, "initial_scale=0.0: a finite number above 0"),
        ({"initial_gamma": -0.1}, "initial_gamma=-0.1: a finite number above 0"),
        ({"weight_decay": -1e-4}, "weight_decay=-0.0001: a finite number from 0 up"),
        ({"momentum": 1.0}, "momentum=1.0: a number from 0 below 1"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"network": "cifar10_resnet21"}, "unknown network 'cifar10_resnet21': choose one of .*did you mean"),
        ({"network": None}, "network=None: text is needed"),
        ({"dataset": 10}, "dataset=10: text is needed"),
        ({"epochs": True}, "epochs=True: a whole number is needed"),
        ({"stage": True}, "stage=True: a whole number"),
        ({"stage": 3}, "stage=3: 1 .real weights"),
        ({"cutout": False}, "cutout=False: a whole number"),
        ({"lr": "0.1"}, "lr='0.1': a number is needed"),
        ({"lr": True}, "lr=True: a number is needed"),
        ({"lr": 10**400}, "lr=10+: a number is needed"),
        ({"flip": 1}, "flip=1: True or False is needed"),
        ({"pad": -1}, "pad=-1: a whole number of pixels"),
        ({"pad": 1.5}, "pad=1.5: a whole number"),
        ({"jitter": 2}, "jitter=2.0: a number from 0 to 1"),
        ({"lighting": float("inf")}, "lighting=inf"),
        ({"image_size": 0}, "image_size=0: 1 pixel or more"),
        ({"image_size": "32"}, "image_size='32': a whole number or None is needed"),
        ({"ede": 1.0}, "ede=1.0: two numbers are needed"),
        ({"ede": ("a", "b")}, r"ede=\('a', 'b'\): two numbers are needed"),
        ({"ede": (1e-45, 10.0)}, "ede=.1e-45, 10.0.: two finite numbers .* from 1.2e-38 to 8.5e.37"),
        ({"ede": (1.0, 1e39)}, "ede=.1.0, 1e.39."),
    ],
)
def test_bad_values(change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(get_recipe("digits"), **change)


def test_values_are_kept_as_their_field_has_them():
    r = dataclasses.replace(get_recipe("digits"), lr=1, ede=[1, 10], epochs=np.int64(3), momentum=np.float32(0.5))
    assert (r.lr, r.ede, r.epochs, r.momentum) == (1.0, (1.0, 10.0), 3, 0.5)
    assert [type(v) for v in (r.lr, r.ede, r.ede[0], r.epochs, r.momentum)] == [float, tuple, float, int, float]
    assert r.changed(lr=1, ede=[1.0, 10.0]) == r


def test_every_t_that_a_recipe_may_have_is_one_in_float32():
    for t in (LEAST_T, MOST_T):
        kept = torch.tensor([t, 1 / t, max(t, 1)], dtype=torch.float32)
        assert kept.double().tolist() == [t, 1 / t, max(t, 1)]
        dataclasses.replace(get_recipe("digits"), ede=(t, t))


def test_the_choices_of_networks_are_those_of_build():
    assert CHOICES["network"] == NETWORKS


@pytest.mark.parametrize("change", [{"lrr": 1}, {"": 1}])
def test_a_change_of_a_field_that_there_is_not(change):
    with pytest.raises(UsageError, match="unknown setting of a recipe .*choose one of name, network"):
        get_recipe("digits").changed(**change)


@pytest.mark.parametrize("change", [{"epochs": "two"}, {"batch_size": "64"}, {"batch_size": True}, {"lr": None}])
def test_changes_of_another_type(change):
    (field,) = change
    if change[field] is None:
        assert get_recipe("digits").changed(**change) == get_recipe("digits")
    else:
        with pytest.raises(UsageError, match=f"{field}={change[field]!r}: a whole number is needed"):
            get_recipe("digits").changed(**change)


def test_unknown_recipe_lists_the_choices():
    with pytest.raises(UsageError, match="unknown recipe 'cifar10-resnet21': choose one of digits, .*did you mean"):
        get_recipe("cifar10-resnet21")
