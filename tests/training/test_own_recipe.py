"""A recipe of one's own, as a TOML file: written with every field explained, read back equal, refused in words."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sdbnn_lite as sd
from sdbnn_lite.core.models import NETWORKS
from sdbnn_lite.errors import UsageError
from sdbnn_lite.system.files import tomllib
from sdbnn_lite.training.recipe import Recipe
from sdbnn_lite.training.recipes import RECIPES, choose, read_recipe, recipe_toml

share = st.floats(0, 1, exclude_max=True)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANY = st.builds(
    Recipe, words, st.sampled_from(NETWORKS), words, words, st.integers(5, 10**6), st.floats(1e-300, 1e300),
    batch_size=st.integers(2, 9999), optimizer=st.sampled_from(["sgd", "adam", "normsgd"]), momentum=share,
    weight_decay=st.floats(0, 1e300), schedule=st.sampled_from(["cosine", "linear"]),
    ede=st.tuples(st.floats(1e-37, 1), st.floats(1, 1e37)), pad=st.integers(0, 99), flip=st.booleans(),
    image_size=st.none() | st.integers(1, 999), stage=st.sampled_from([1, 2]), warmup_epochs=st.integers(0, 4),
    label_smoothing=share, distill=share, decay_all=st.booleans(), ema=share, initial_gamma=st.floats(1e-9, 1e9),
    initial_scale=st.floats(1e-9, 1e9), ede_k=st.sampled_from(["published", "peak"]), reflect=st.booleans(),
    cutout=st.integers(0, 99), alternate_flip=st.booleans(), resized=st.booleans(), jitter=share,
    lighting=st.floats(0, 9),
)  # fmt: skip


@pytest.fixture
def own(tmp_path):
    """own("lr = 1") -> the path of mine.toml, which says that."""

    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_printed_is_read_back_as_an_equal_recipe(name, own):
    """``published`` too, which no file says."""
    text = recipe_toml(RECIPES[name])
    assert read_recipe(own(text)) == RECIPES[name]
    assert set(tomllib.loads(text)) | {"image_size", "published"} == {f.name for f in dataclasses.fields(Recipe)}
    assert all("  # " in line and len(line.partition("  # ")[2]) > 8 for line in text.splitlines())


@given(ANY)
def test_any_recipe_is(recipe):
    read = tomllib.loads(recipe_toml(recipe))
    assert Recipe(**read) == recipe


def test_a_file_is_a_recipe_and_what_it_changes(own):
    path = own('from = "digits"\nnetwork = "cifar10_resnet20"\nlr = 1\nflip = true\n')
    recipe = read_recipe(path)
    changes = {"network": "cifar10_resnet20", "lr": 1.0, "flip": True}
    assert recipe == dataclasses.replace(RECIPES["digits"], name="mine", **changes)
    assert choose(path) == choose(str(path)) == recipe and choose(path, epochs=2) == recipe.with_epochs(2)
    base = read_recipe(path, RECIPES["cifar10-vgg-small"])  # given beside the file, it is what the rest comes from
    assert base == dataclasses.replace(RECIPES["cifar10-vgg-small"], name="mine", published=False, **changes)
    whole = read_recipe(own('network = "digits_convnet"\ndataset = "mine"\nepochs = 3\nlr = 0.1\nname = "other"'))
    assert whole == Recipe("other", "digits_convnet", "mine", "", 3, 0.1)


def test_published_is_what_the_settings_are_not_what_the_file_says(own):
    assert read_recipe(own('from = "cifar10-resnet20"')).published
    published, ours = (dataclasses.asdict(RECIPES[f"cifar10-resnet20{part}"]) for part in ("", "-evening"))
    undone = [f"{field} = {json.dumps(value)}" for field, value in published.items()
              if field not in ("name", "about", "published") and value != ours[field]]  # fmt: skip
    assert len(undone) > 8 and read_recipe(own("\n".join(['from = "cifar10-resnet20-evening"', *undone]))).published
    assert not read_recipe(own("\n".join(['from = "cifar10-resnet20-evening"', *undone[1:]]))).published
    assert not read_recipe(own('from = "cifar10-resnet20"\nlr = 0.12')).published
    with pytest.raises(UsageError, match="unknown field 'published'"):
        read_recipe(own('from = "digits"\npublished = true'))


@pytest.mark.parametrize(
    "text, message",
    [
        ('from = "digits"\nlrr = 2', "unknown field 'lrr': choose one of from, name, network, .*did you mean 'lr'"),
        ('from = "digit"', "unknown recipe 'digit': choose one of .*did you mean 'digits'"),
        ("from = 3", "unknown recipe 3"),
        ('dataset = "mine"', "network, epochs, lr missing: say them, or start from a recipe"),
        ("", "network, dataset, epochs, lr missing"),
        ('from = "digits"\nlr = "a"', "lr='a': a number is needed"),
        ('from = "digits"\nepochs = true', "epochs=True: a whole number is needed"),
        ('from = "digits"\nepochs = 2.0', "epochs=2.0: a whole number is needed"),
        ('from = "digits"\nflip = "no"', "flip='no': True or False is needed"),
        ('from = "digits"\nede = [1, 2, 3]', "ede=.1, 2, 3.: two numbers are needed"),
        ('from = "digits"\nede = [1e-45, 10.0]', "ede="),
        ('from = "digits"\nlr = nan', "lr=nan: a finite number above 0"),
        ('from = "digits"\noptimizer = "adan"', "unknown optimizer 'adan': .*did you mean 'adam'"),
        ('from = "digits"\nnetwork = "resnet"', "unknown network 'resnet'"),
        ('from = "digits"\n[lr]\nlow = 1', "lr={'low': 1}: a number is needed"),
        ("lr: 1", "can't be read as TOML"),
    ],
)
def test_what_a_file_may_not_say(own, text, message):
    with pytest.raises(UsageError, match=f"^.*mine.toml: {message}"):
        read_recipe(own(text))


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UsageError, match="can't be read as TOML"):
            read_recipe(path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="bytes.toml: can't be read as TOML"):
        read_recipe(tmp_path / "bytes.toml")


def test_the_recipes_by_name_are_a_copy():
    found = sd.recipes()
    assert found == RECIPES and found is not RECIPES
    found.clear()
    assert sd.recipes() == RECIPES
