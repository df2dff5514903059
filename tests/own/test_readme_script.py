"""README's script for one's own network and pictures runs as printed, but for the two places that it names."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from places import ROOT

import sdbnn_lite as sd


@pytest.mark.filterwarnings("ignore:ASD")
def test_the_script(tmp_path, capsys):
    script = re.search(r"## Your own network.*?```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)[1]
    assert len(script.splitlines()) <= 20
    pixels = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        for place, name in enumerate(("dark", "light", "red")):
            folder = tmp_path / "mine" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                colours = pixels.integers(0, 128, (64, 64, 3)) + 127 * (place == 1)
                colours[..., 1:] //= 1 + 3 * (place == 2)
                Image.fromarray(colours.astype(np.uint8)).save(folder / f"{number}.png")
    picture = tmp_path / "mine" / "val" / "light" / "0.png"
    told = {"DIR": tmp_path, "picture.jpg": picture}
    names = {}
    exec(re.sub("|".join(told), lambda found: str(told[found[0]]), script), names)
    said = capsys.readouterr().out
    assert "layer1.0.conv1         Conv2d 64×64×3×3    binary" in said and "first layer" in said
    found = sd.predict(names["packed"], picture, like=names["images"])
    assert str(found) in said and {p.name for p in found} == {"dark", "light", "red"}
    net, x = names["net"].eval(), next(names["images"].test_batches(6))[0]
    with torch.no_grad():
        torch.testing.assert_close(names["packed"](x), net(x), rtol=1e-3, atol=1e-3)
    assert len(names["packed"].layers) == 19
