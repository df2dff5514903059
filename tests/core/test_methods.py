"""What each method is made of, against the table of the design, written out again."""

from dataclasses import FrozenInstanceError, astuple

import pytest

from sdbnn_lite.core.methods import METHODS, get_method
from sdbnn_lite.errors import UsageError, unknown

# name: gradient of activations, of weights, shift of activations, of weights, scale
TABLE = {
    "bnn": ("ste", "ste", None, None, None),
    "xnor": ("ste", "ste", None, None, "analytic"),
    "xnor_pp": ("ste", "ste", None, None, "learned"),
    "bireal": ("polynomial", "ste", None, None, None),
    "irnet": ("ede", "ede", None, "balance", "power_of_two"),
    "ede": ("ede", "ede", None, None, None),
    "rsign": ("ede", "ede", "static", None, None),
    "asd": ("ede", "ede", "asd", None, None),
    "asd_tanh": ("ede", "ede", "asd_tanh", None, None),
    "wsd": ("ede", "ede", None, "wsd", None),
    "sdbnn": ("ede", "ede", "asd", "wsd", None),
}


def test_there_are_eleven_methods_and_the_float_twin():
    assert set(METHODS) == {"float", *TABLE}
    assert not get_method("float").binary and get_method("float").name == "float"


@pytest.mark.parametrize("name", TABLE)
def test_parts_on_cifar(name):
    """Gradients, shifts and scale, and a title of its own."""
    method = get_method(name)
    assert method.name == name and method.binary
    assert astuple(method)[2:7] == TABLE[name]
    assert len({m.title for m in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("name", TABLE)
def test_parts_on_imagenet(name):
    """EDE gives way to Bi-Real's gradients in the methods that are about a shift; nothing else changes."""
    activation, weight, *rest = TABLE[name]
    if name in ("ede", "rsign", "asd", "asd_tanh", "wsd", "sdbnn"):
        activation, weight = "polynomial", "ste"
    assert astuple(get_method(name, imagenet=True))[2:7] == (activation, weight, *rest)
    assert get_method(name).activation_gradient == TABLE[name][0], "the table itself must stay as it was"


def test_unknown_method_lists_all():
    with pytest.raises(UsageError) as error:
        get_method("sdbn")
    assert all(name in str(error.value) for name in METHODS)
    assert "did you mean 'sdbnn'?" in str(error.value)


def test_a_method_cannot_be_changed_by_accident():
    with pytest.raises(FrozenInstanceError):
        get_method("bnn").scale = "learned"


def test_unknown_names_kind_given_and_choices():
    """The one message for all unknown names; without a guess where nothing is near; it is a ValueError too."""
    error = unknown("colour", "xyz", iter(["red", "green"]))
    assert isinstance(error, UsageError) and isinstance(error, ValueError)
    assert str(error) == "unknown colour 'xyz': choose one of red, green"
    assert str(unknown("colour", "gren", ["red", "green"])).endswith("(did you mean 'green'?)")
    assert "None" in str(unknown("colour", None, ["red"]))
