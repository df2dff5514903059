"""The file of a search's space: what it may say, and that every mistake in it is named."""

import dataclasses

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sdbnn_lite.errors import UsageError
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.search_space import KINDS, as_written, read_space, with_settings

RECIPE = dataclasses.replace(RECIPES["digits"], epochs=8)


@pytest.fixture
def read(tmp_path):
    def call(text):
        (tmp_path / "space.toml").write_text(text)
        return read_space(tmp_path / "space.toml", RECIPE)

    return call


def test_what_a_space_may_hold(read):
    space = read(
        'lr = {low = 0.001, high = 1, log = true}\nwarmup_epochs = {low = 0, high = 7}\noptimizer = ["sgd", "adam"]\n'
        "ema = [0, 0.99]\nflip = true\nede_t_min = {low = 0.01, high = 1}\nede_t_max = 4\n"
    )
    assert space == {
        "lr": FloatDistribution(0.001, 1.0, log=True),
        "warmup_epochs": IntDistribution(0, 7),
        "optimizer": CategoricalDistribution(["sgd", "adam"]),
        "ema": CategoricalDistribution([0.0, 0.99]),
        "flip": CategoricalDistribution([True]),
        "ede_t_min": FloatDistribution(0.01, 1.0),
        "ede_t_max": CategoricalDistribution([4.0]),
    }
    assert as_written(space["lr"]) == {"low": 0.001, "high": 1.0, "log": True} and as_written(space["flip"]) == [True]


def test_settings_become_a_recipe():
    made = with_settings(RECIPE, {"lr": 0.5, "ede_t_max": 3.0, "initial_scale": 2.0})
    assert made == dataclasses.replace(RECIPE, lr=0.5, ede=(RECIPE.ede[0], 3.0), initial_scale=2.0)
    assert with_settings(RECIPE, {}) == RECIPE


def test_what_is_not_a_setting_of_training_cannot_be_searched():
    fixed = {"name", "network", "dataset", "about", "epochs", "ede", "stage", "published", "image_size"}
    assert {*KINDS} == {f.name for f in dataclasses.fields(RECIPE)} - fixed | {"ede_t_min", "ede_t_max"}


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "names no setting; allowed are lr, batch_size"),
        ("lr = ", "can't be read as TOML"),
        ("learning_rate = 0.1", "setting 'learning_rate': choose one of lr"),
        ("epochs = 3", "unknown .*setting 'epochs'"),
        ("lr = {low = 0.1, high = 0.01}", r"lr = .*0.1.*0.01.*: low <= high, one finite number each"),
        ("lr = {low = 0.1, high = inf}", "low <= high, one finite number each"),
        ("lr = {low = nan, high = 1.0}", "low <= high"),
        ("lr = {low = 0.1}", "low <= high"),
        ("ema = {low = 0, high = 0.9, log = true}", "with log, low must be above 0"),
        ("lr = {low = 0.1, high = 1, step = 2}", "only numbers have limits, {low = …, high = …"),
        ("lr = {low = 0.1, high = 1, log = 1}", "log = true or false"),
        ("warmup_epochs = {low = 0.5, high = 2}", "low <= high, one finite int each"),
        ('optimizer = {low = "adam", high = "sgd"}', "only numbers have limits"),
        ("lr = []", r"lr = \[\]: one number or a list of several"),
        ('lr = ["high"]', "one number or a list"),
        ("lr = [true]", "one number or a list"),
        ("batch_size = [64, 128.5]", "one int or a list"),
        ("flip = [0, 1]", "one bool or a list"),
        ('optimizer = ["sgd", "adma"]', r"optimizer = \['sgd', 'adma'\]: unknown optimizer 'adma': .*mean 'adam'"),
        ("batch_size = [1, 2]", r"batch_size = \[1, 2\]: batch_size=1: batch norm needs at least 2"),
        ("warmup_epochs = {low = 0, high = 8}", "warmup_epochs=8: a whole number from 0 to 7"),
        ("weight_decay = {low = -0.1, high = 0}", "weight_decay=-0.1: a finite number from 0 up"),
        ("momentum = 1.0", "momentum=1.0: a number from 0 below 1"),
        ("ede_t_max = {low = 0.001, high = 4}", "ede_t_min reaches 0.01, ede_t_max starts at 0.001"),
        ("ede_t_min = [1, 5]\nede_t_max = {low = 4, high = 9}", "ede_t_min reaches 5.0, ede_t_max starts at 4.0"),
        ("ede_t_min = {low = 0, high = 1}", "ede_t_min = {'low': 0.0, .*ede=.*0 < t_min"),
    ],
)
def test_mistakes_are_named(read, text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read(text)
    assert "space.toml: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="--space .*none.toml: can't be read as TOML .*No such file"):
        read_space(tmp_path / "none.toml", RECIPE)
