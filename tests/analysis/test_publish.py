"""Publishing a run: the zoo's entry and its card, the tables beside it, what is refused, and the commands."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from sdbnn_lite import cli, data
from sdbnn_lite.analysis.publish import Target, card_study, portable_command, publish_log, publish_run
from sdbnn_lite.errors import RunError, UsageError
from sdbnn_lite.training.evaluate import evaluate
from sdbnn_lite.training.options import RunOptions
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.run_folder import CHECKPOINT, read_run
from sdbnn_lite.training.train import train
from sdbnn_lite.weights import bits
from sdbnn_lite.weights.files import in_bits, read_tensors
from sdbnn_lite.weights.zoo import ZOO, load

COMMAND = "sdbnn-lite train digits --epochs 1 --data /some/where --out /else/where/r --quiet"


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of really trained runs, one epoch each: <method>/."""
    folder = tmp_path_factory.mktemp("runs")
    tiny = dataclasses.replace(RECIPES["digits"], epochs=1, batch_size=256)
    for method in ("sdbnn", "irnet", "float"):
        train(tiny, folder / method, method=method, options=RunOptions(progress=False, command=COMMAND))
    return folder


@pytest.fixture
def places(tmp_path):
    return Target(tmp_path / "zoo", tmp_path / "results")


@pytest.mark.parametrize("method, default", [("sdbnn", "digits_convnet"), ("irnet", "digits_convnet_irnet")])
def test_a_published_run_is_the_trained_network(method, default, runs, places, digits):
    name, card = publish_run(runs / method, to=places)
    assert name == default
    path = places.zoo / f"{name}.safetensors"
    trained, stored = load(runs / method), load(path)
    x = next(iter(digits.test_batches(360)))[0]
    with torch.no_grad():
        assert torch.equal(trained(x), stored(x))
    tensors, about = read_tensors(path)
    assert about["form"] == "bits" and "conv2.weight" not in tensors and tensors["conv2.bits"].dtype == torch.uint8
    assert about["identity"]["method"] == method and about["result"] == trained.about["result"]
    assert stored.about["card"] == card == json.loads(path.with_suffix(".json").read_text())
    assert evaluate(stored, digits).top1 == card["test_accuracy"]


def test_the_card_says_where_everything_comes_from(runs, places):
    name, card = publish_run(runs / "sdbnn", "tiny_1", to=places)
    run = json.loads((runs / "sdbnn" / "run.json").read_text())
    content = (places.zoo / "tiny_1.safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(content).hexdigest() and card["bytes"] == len(content)
    for key in ("network", "method", "recipe", "dataset", "data", "epochs", "seed", "machine", "started"):
        assert card[key] == run[key]
    for key, value in run["result"].items():
        assert card[key] == value
    assert card["n"] == 1 and card["protocol"] == "last epoch, all test images"
    assert {"torch", "numpy", "python"} <= card["machine"]["versions"].keys()
    assert card["command"] == "sdbnn-lite train digits --epochs 1 --data DIR"
    assert card["scored"] == "by the run, on cpu" and card["rounded"] == "nothing"
    assert len(card["probe"]["argmax"]) == 500 and card["probe"]["argmax"].isdigit()
    assert "run_accuracy" not in card and "/some" not in json.dumps(card)


def test_the_tables_are_kept_beside_the_results(runs, places):
    publish_run(runs / "sdbnn", "tiny", to=places)
    kept, own = places.results / "tiny", runs / "sdbnn"
    assert sorted(p.name for p in kept.iterdir()) == ["log.csv", "run.json", "signs.csv"]
    for table in ("log.csv", "signs.csv"):
        assert (kept / table).read_bytes() == (own / table).read_bytes()
    written, trained = (json.loads((folder / "run.json").read_text()) for folder in (kept, own))
    assert trained.pop("digest") and trained.pop("command") == COMMAND and "where" not in written.pop("command")
    assert written == trained


def test_tables_alone_leave_the_zoo_as_it_is(runs, places):
    _, card = publish_run(runs / "float", "large", tables_only=True, to=places)
    assert not places.zoo.exists()
    assert sorted(p.name for p in (places.results / "large").iterdir()) == ["log.csv", "run.json", "signs.csv"]
    publish_run(runs / "float", "large", to=places)
    assert json.loads((places.zoo / "large.json").read_text()) == card  # what would have stood beside it
    with pytest.raises(UsageError, match="name 'large': the zoo holds large.safetensors"):
        publish_run(runs / "sdbnn", "large", tables_only=True, to=places)


def test_of_a_run_under_way_the_log_alone(runs, places, tmp_path):
    begun = edited(runs / "sdbnn", tmp_path / "begun", result=None, epochs=3)
    folder = publish_log(begun, "slow", places)
    run, log = read_run(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["log.csv", "run.json"] and not places.zoo.exists()
    assert run["result"] is None and run["epochs"] == 3 and log == read_run(begun)[1] and len(log) == 1
    assert run["command"] == "sdbnn-lite train digits --epochs 1 --data DIR"
    with pytest.raises(UsageError, match="sdbnn: --so-far is for a run under way; it has 1 of its 1 epochs"):
        publish_log(runs / "sdbnn", "slow", places)
    publish_run(runs / "sdbnn", "slow", to=places)
    with pytest.raises(UsageError, match="name 'slow': .* holds a finished run; choose another name"):
        publish_log(begun, "slow", places)
    twin = publish_log(edited(runs / "float", tmp_path / "twin", result=None, epochs=3), None, places)
    assert twin.name == "digits_convnet_float"  # the same default as a finished run's
    (begun / CHECKPOINT).unlink(missing_ok=True)
    (begun / "log.csv").write_text((begun / "log.csv").read_text().splitlines()[0] + "\n")
    assert cli.main(["publish", str(begun), "slow", "--so-far", "--out", str(tmp_path)]) == 2


def test_the_float_twin_is_published_as_it_is(runs, places):
    name, card = publish_run(runs / "float", to=places)
    assert name == "digits_convnet_float"
    stored, trained = load(places.zoo / f"{name}.safetensors").state_dict(), load(runs / "float").state_dict()
    assert stored.keys() == trained.keys() and all(torch.equal(stored[k], trained[k]) for k in stored)


def test_with_images_the_file_itself_is_scored(runs, places, digits):
    _, card = publish_run(runs / "sdbnn", images=digits, rounded=True, to=places)
    assert card["scored"] == "as stored, on cpu" and "16-bit steps" in card["rounded"]
    stored = load(places.zoo / "digits_convnet.safetensors")
    score = evaluate(stored, digits)
    assert (score.top1, score.loss) == (card["test_accuracy"], card["test_loss"])
    assert card["run_accuracy"] == load(runs / "sdbnn").about["result"]["test_accuracy"]
    assert stored.about["result"]["test_accuracy"] == card["test_accuracy"]


def test_publishing_again_replaces_the_entry_by_the_same_bytes(runs, places):
    publish_run(runs / "sdbnn", "tiny", to=places)
    before = {p.name: p.read_bytes() for p in places.zoo.iterdir()}
    publish_run(runs / "irnet", "tiny", to=places)
    assert load(places.zoo / "tiny.safetensors").method.name == "irnet"
    publish_run(runs / "sdbnn", "tiny", to=places)
    assert {p.name: p.read_bytes() for p in places.zoo.iterdir()} == before


def edited(source, target, **changes):
    """A copy of the run ``source`` whose run.json has these entries."""
    shutil.copytree(source, target)
    run = json.loads((target / "run.json").read_text())
    del run["digest"]  # as in earlier versions: nothing tells that the rest was edited
    (target / "run.json").write_text(json.dumps({**run, **changes}))
    return target


def nothing_written(places):
    return not any(folder.exists() for folder in (places.zoo, places.results))


def test_what_is_no_finished_run_is_refused(runs, places, tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "run.json").write_text("not JSON")
    for folder in (tmp_path, tmp_path / "text"):
        with pytest.raises(UsageError, match="not a run's folder, it has no run.json that can be read"):
            publish_run(folder, to=places)
    with pytest.raises(UsageError, match="isn't finished; go on with it"):
        publish_run(edited(runs / "sdbnn", tmp_path / "begun", result=None), to=places)
    with pytest.raises(UsageError, match="weights.safetensors is of another run than run.json"):
        publish_run(edited(runs / "sdbnn", tmp_path / "mixed", seed=1), to=places)
    assert nothing_written(places)


def test_wrong_names_and_images_are_refused(runs, places, digits):
    for name in ("../x", "A", "a b", "1", "a.b"):
        with pytest.raises(UsageError, match="small letters, digits and _"):
            publish_run(runs / "sdbnn", name, to=places)
    other = dataclasses.replace(digits, label="other digits")
    with pytest.raises(UsageError, match="other digits given, but the run was on digits"):
        publish_run(runs / "sdbnn", images=other, to=places)
    with pytest.raises(UsageError, match="rounded: .* give the images"):
        publish_run(runs / "sdbnn", rounded=True, to=places)
    assert nothing_written(places)


def test_latent_weights_are_never_replaced(runs, places):
    places.zoo.mkdir()
    kept = shutil.copy(ZOO / "digits_sdbnn.safetensors", places.zoo)
    with pytest.raises(UsageError, match="digits_sdbnn.safetensors holds latent weights"):
        publish_run(runs / "sdbnn", "digits_sdbnn", to=places)
    assert Path(kept).read_bytes() == (ZOO / "digits_sdbnn.safetensors").read_bytes()


def test_a_file_that_would_differ_is_never_written(runs, places, digits, tmp_path, monkeypatch):
    result = {"protocol": "p", "test_accuracy": 0.123, "test_top5": 1, "test_loss": 1, "test_images": 360}
    with pytest.raises(RunError, match="the run itself 12.30 %: more than 0.2 points apart; nothing was written"):
        publish_run(edited(runs / "sdbnn", tmp_path / "lies", result=result), images=digits, to=places)
    right = bits.pack_signs
    monkeypatch.setattr(bits, "pack_signs", lambda w: right(-w))
    with pytest.raises(RunError, match="logits differ .* nothing was written"):
        publish_run(runs / "sdbnn", to=places)
    assert nothing_written(places)


@pytest.mark.parametrize(
    "typed, kept",
    [
        ("sdbnn-lite train r --data /a/b --out /c --quiet --seed 1", "sdbnn-lite train r --data DIR --seed 1"),
        ("sdbnn-lite train r --data=/a --out=x", "sdbnn-lite train r --data DIR"),
        ("sdbnn-lite train r --dat x --o y --device cpu", "sdbnn-lite train r --data DIR --device cpu"),
        ("sdbnn-lite train r --init /a/b/w.safetensors", "sdbnn-lite train r --init w.safetensors"),
        ("sdbnn-lite train r --teacher=/a/b/t.safetensors", "sdbnn-lite train r --teacher=t.safetensors"),
        ("sdbnn-lite train r --download --data", "sdbnn-lite train r --download --data DIR"),
        ("sdbnn-lite study digits --seeds 3", "sdbnn-lite study digits --seeds 3"),
        ("", ""),
    ],
)
def test_commands_lose_what_belongs_to_one_machine(typed, kept):
    assert portable_command(typed) == kept


@pytest.mark.parametrize("typed", ["sdbnn-lite train r --epochs 3", "sdbnn-lite train r --epochs 3 --data /a"])
def test_a_command_says_that_it_needs_images(typed):
    """Also where the environment said where they were; the digits are in the package."""
    assert portable_command(typed, "cifar10") == "sdbnn-lite train r --epochs 3 --data DIR"
    assert portable_command("sdbnn-lite train digits", "digits") == "sdbnn-lite train digits"
    assert portable_command("", "cifar10") == ""


def test_publish_and_evaluate_as_commands(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SDBNN_DATA", raising=False)
    assert cli.main(["publish", str(runs / "irnet"), "--round", "--out", "here"]) == 0
    said = capsys.readouterr().out
    assert "digits_convnet_irnet: " in said and "on all 360 test images of digits" in said
    weights = tmp_path / "here" / "zoo" / "digits_convnet_irnet.safetensors"
    assert (tmp_path / "here" / "results" / "runs" / "digits_convnet_irnet" / "run.json").is_file()
    assert cli.main(["evaluate", str(weights)]) == 0
    assert "%; equal" in capsys.readouterr().out

    beside = weights.with_suffix(".json")
    card = json.loads(beside.read_text())
    beside.write_text(json.dumps({**card, "test_accuracy": card["test_accuracy"] + 0.01}))
    assert cli.main(["evaluate", str(weights)]) == 2
    assert "isn't the card of digits_convnet_irnet.safetensors: test_accuracy is" in capsys.readouterr().err
    beside.write_text(json.dumps({**card, "sha256": "0" * 64}))
    assert cli.main(["evaluate", str(weights)]) == 2
    assert "damaged" in capsys.readouterr().err
    assert cli.main(["publish", str(runs / "float"), "large", "--tables-only", "--out", "there"]) == 0
    assert "network and card: none (--tables-only)" in capsys.readouterr().out
    assert not (tmp_path / "there" / "zoo").exists()
    assert cli.main(["publish", "nowhere"]) == 2
    assert "nowhere: not a run's folder" in capsys.readouterr().err


def test_a_study_gets_its_cards(runs, tmp_path):
    facts = {**json.loads((runs / "sdbnn" / "run.json").read_text()), "methods": ["sdbnn"], "command": "the study"}
    target = tmp_path / "digits_sdbnn.safetensors"
    shutil.copy(runs / "sdbnn" / "weights.safetensors", target)
    target.with_suffix(".json").write_text('{"sha256": "of an older file"}')
    assert card_study(tmp_path, "digits", facts) == [target.with_suffix(".json")]
    card = load(target).about["card"]
    assert card["form"] == "latent" and card["command"] == "the study" and not in_bits(load(target))
