"""The examples in docstrings are true, and the public names that are used most have one."""

import doctest
from importlib import import_module

import pytest
from package_modules import MODULES

import sdbnn_lite

TRAINS = {"training.api"}  # its examples are runs of minutes and hours
WITH = sorted(n for n, path in MODULES.items() if "    >>> " in path.read_text("utf-8") and n not in TRAINS)
USED_MOST = {
    "core.asd.ActivationSelfDistribution",
    "core.binarize.binarize",
    "core.layers.BinaryConv2d",
    "core.methods.Method",
    "core.signs.entropy",
    "core.signs.random_signs",
    "core.wsd.WeightSelfDistribution",
    "cost.count.cost",
    "data.sets.load",
    "packed.modules.pack",
    "training.recipes.recipes",
    "weights.zoo.load",
}


def examples(name):
    module = import_module(f"sdbnn_lite.{name}")
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for test in finder.find(module, extraglobs={"sd": sdbnn_lite}) if test.examples]


@pytest.mark.parametrize("name", WITH)
def test_examples(name):
    runner = doctest.DocTestRunner()
    for example in examples(name):
        said = []
        assert runner.run(example, out=said.append).failed == 0, "".join(said)


def test_the_names_that_are_used_most_have_an_example():
    assert {test.name.removeprefix("sdbnn_lite.") for name in WITH for test in examples(name)} >= USED_MOST
