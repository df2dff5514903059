"""Made-up results of the CIFAR-10 runs, in the files that the real ones have: tests draw and read these instead.

No number here was measured. The data set is called "made up", so that nothing drawn from it can be taken for a result.
"""

import json

import numpy as np
import pandas as pd

from sdbnn_lite.core.methods import METHODS
from sdbnn_lite.training.recipes import RECIPES
from sdbnn_lite.training.run_folder import identity

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PLANNED = ("float", "bnn", "xnor", "irnet", "ede", "rsign", "asd", "wsd", "sdbnn")
LAYERS = [f"layers.{s}.{b}.conv{c}" for s in range(3) for b in range(3) for c in (1, 2)]
MACHINE = {"device": "cpu", "gpu": None, "cpu": "Intel(R) Xeon(R) Processor @ 2.80GHz", "cores": 2, "threads": 1,
           "system": "Linux", "versions": {"torch": "2.15"}}  # fmt: skip
DATA = "made up (JPEG copy)"


def facts(recipe, method="sdbnn", seed=0, epochs=15):
    """What run.json holds of a run before its result."""
    settings = identity(RECIPES[recipe].with_epochs(epochs), method, seed)
    command = f"sdbnn-lite train {recipe} --epochs {epochs} --data DIR"
    return {**settings, "data": DATA, "train_images": 50000, "test_images": 10000, "command": command,
            "started": "2026-01-01T00:00:00+00:00", "machine": MACHINE}  # fmt: skip


def log_rows(epochs, end, random):
    """log.csv: accuracies that rise to ``end``, and fall a little in the last epoch."""
    e = np.arange(1, epochs + 1)
    test = end - 0.45 * np.exp(-3 * e / epochs) + random.normal(0, 0.006, epochs)
    test[-1] = test[:-1].max() - 0.002 if epochs > 1 else test[-1]
    done = (e - 1) / epochs
    return pd.DataFrame({
        "epoch": e, "ede_t": 0.001 * 10_000**done, "lr": 0.055 * (1 + np.cos(np.pi * done)),
        "train_loss": 1.0, "train_accuracy": test - 0.02, "test_loss": 0.5,
        "test_accuracy": test.round(4), "test_top5": 0.99, "seconds": 190.0, "images_per_second": 263.0,
    })  # fmt: skip


def sign_rows(epochs, method, random, layers=LAYERS):
    """signs.csv: ASD's outputs lean most."""
    rows = []
    for epoch in range(1, epochs + 1):
        for depth, layer in enumerate(layers):
            lean = 0.06 if METHODS[method].activation_shift == "asd" else 0.02
            difference = 0.49 - lean * (1 + depth / 20) + random.normal(0, 0.004)
            rows.append({
                "epoch": epoch, "layer": layer, "input_before": 0.5, "input_after": 0.6 if lean > 0.05 else 0.5,
                "input_flips": 0.1, "weight_before": 0.5, "weight_after": 0.5, "weight_flips": 0.0, "output": 0.5,
                "entropy": 1 - 2 * (0.5 - difference) + random.normal(0, 0.002), "sign_difference": difference,
                "dead_channels": 0, "share_histogram": " ".join(["1"] * 20),
            })  # fmt: skip
    return pd.DataFrame(rows)


def gradient_rows(grows, inside, layers=LAYERS, last=5.4):
    """final_gradients.csv: relative gradients of 0.1 up to t = 2, ``grows`` times that beyond, as at the ``last`` t."""
    return pd.DataFrame([
        {"t": t, "layer": layer, "gradient": 0.1 * weight * (grows if t > 2 else 1), "weight": weight,
         "inside": inside, "images": 256}
        for t in sorted((0.01, 1.0, 2.0, 5.0, last, 10.0)) for weight, layer in enumerate(layers, start=3)
    ])  # fmt: skip


def write_study(results, methods=PLANNED, seeds=2, epochs=15, final=True, recipe="cifar10-resnet20"):
    """The tables of a study, in ``results``/``recipe``/."""
    random = np.random.default_rng(7)
    folder = results / recipe
    folder.mkdir(parents=True, exist_ok=True)
    runs, logs, signs = [], [], []
    for method in methods:
        for seed in range(seeds):
            who = {"method": method, "seed": seed}
            end = 0.78 + 0.01 * list(METHODS).index(method) / 3 + random.normal(0, 0.003)
            log = log_rows(epochs, 0.9 if method == "float" else end, random)
            logs.append(log.assign(**who))
            if method != "float":
                signs.append(sign_rows(epochs, method, random).assign(**who))
            runs.append({**who, "test_accuracy": log["test_accuracy"].iloc[-1], "test_top5": 0.99, "test_loss": 0.5,
                         "test_images": 10000, "train_seconds": 2850.0})  # fmt: skip
    pd.DataFrame(runs).to_csv(folder / "runs.csv", index=False)
    pd.concat(logs).to_csv(folder / "epochs.csv", index=False)
    (folder / "signs.csv").write_text("")  # the float twin alone has none
    if signs:
        pd.concat(signs).to_csv(folder / "signs.csv", index=False)
        final_signs = pd.concat(signs).query("epoch == @epochs").assign(images=500)
        if final:
            final_signs.to_csv(folder / "final_signs.csv", index=False)
            last = logs[0]["ede_t"].iloc[-1]
            gradients = [gradient_rows(900, 0.9, last=last).assign(method=m, seed=k) for m in methods if m != "float"
                         for k in range(seeds)]  # fmt: skip
            pd.concat(gradients).to_csv(folder / "final_gradients.csv", index=False)
    about = facts(recipe, epochs=epochs)
    for key in ("method", "seed", "started"):
        about.pop(key)
    about |= {
        "methods": list(methods),
        "seeds": list(range(seeds)),
        "protocol": "last epoch, all test images",
        "command": f"sdbnn-lite study {recipe} --seeds {seeds} --epochs {epochs} --data DIR --publish",
    }
    (folder / "study.json").write_text(json.dumps(about))


def write_ablation(results, methods=PLANNED, seeds=2, final=True):
    """Both studies: each method by its own learning rate, and all by the compressed schedule."""
    write_study(results, methods, seeds, final=final)
    write_study(results, methods, seeds, final=final, recipe="cifar10-resnet20-evening")
    about = results / "cifar10-resnet20-evening" / "study.json"
    budget = {"trials": 2, "epochs": 1, "seed": 0, "data": f"{DATA}, 50 training images held out",
              "space": {"lr": {"low": 0.01, "high": 0.02}}, "teacher": None}  # fmt: skip
    tuned = {method: {"lr": 0.01 if method in ("bnn", "ede") else 0.02} for method in methods}
    about.write_text(json.dumps(json.loads(about.read_text()) | {"searches": budget, "tuned": tuned}))


def write_run(results, name, recipe, epochs, end, seed=0, method="sdbnn", predictions=True, network_layers=LAYERS):
    """A published run, in ``results``/runs/``name``/."""
    random = np.random.default_rng(seed + epochs)
    folder = results / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    log = log_rows(epochs, end, random)
    log.to_csv(folder / "log.csv", index=False)
    sign_rows(min(epochs, 3), method, random, network_layers).to_csv(folder / "signs.csv", index=False)
    accuracy = float(log["test_accuracy"].iloc[-1])
    result = {"protocol": "last epoch, all test images", "test_accuracy": accuracy, "test_top5": 0.99,
              "test_loss": 0.5, "test_images": 10000}  # fmt: skip
    run = {**facts(recipe, method, seed, epochs), "result": result}
    if predictions:
        run["classes"] = CLASSES
        true = np.repeat(np.arange(10), 1000)
        confused = np.array([8, 9, 4, 5, 7, 3, 2, 4, 0, 1])[true]
        elsewhere = random.integers(0, 10, len(true))
        wrong = random.random(len(true)) > accuracy
        predicted = np.where(wrong, np.where(random.random(len(true)) < 0.6, confused, elsewhere), true)
        p = random.uniform(0.3, 1, len(true)).round(3)
        table = pd.DataFrame({"true": true, "predicted": predicted, "p_true": np.where(predicted == true, p, 1 - p)})
        table.assign(p_predicted=p).round(3).to_csv(folder / "predictions.csv", index=False)
    (folder / "run.json").write_text(json.dumps(run))


def write_all(results):
    """Both studies, a longer ResNet-20 with two seeds, and a short VGG-Small; no ResNet-18."""
    write_ablation(results)
    write_run(results, "cifar10_resnet20", "cifar10-resnet20", 100, 0.85)
    write_run(results, "cifar10_resnet20_1", "cifar10-resnet20", 100, 0.848, seed=1, predictions=False)
    write_run(results, "cifar10_vgg_small", "cifar10-vgg-small", 10, 0.83)
