"""Where each setting of ImageNet's recipe is from: the authors' own file first, else the trainers that it builds on."""

from ..system.text import markdown_table
from ..training.recipes import RECIPES

_GITHUB = "https://github.com/{}/blob/{}"
SOURCES = {  # name in the table: address at the commit that was read
    "SD-BNN, birealnet.py": _GITHUB.format("pingxue-hfut/SD-BNN",
                                           "0b601f9a81e818b4dfb70203e83932e01dcf6949/imagenet/birealnet.py"),
    "ReActNet, train.py": _GITHUB.format("liuzechun/ReActNet",
                                         "5971ac005c8af29eb0cd813a06f8abd6422c6292/resnet/2_step2/train.py"),
    "ReActNet, run.sh": _GITHUB.format("liuzechun/ReActNet",
                                       "2c74bfd11bb0c28fd3dd617e9ffc45381dbb19cd/resnet/2_step2/run.sh"),
    "Bi-Real Net, train.py": _GITHUB.format(
        "liuzechun/Bi-Real-net", "27cf653326c1916c6c9775ab0806a472b5edc79a/pytorch_implementation/BiReal18_34/train.py"),
}  # fmt: skip
AUTHORS, LOSS, DECAY, IMAGES = SOURCES
SETTINGS = (  # what it is, the recipe's field, whose it is, what that source says beside it
    ("epochs of each stage", "epochs", AUTHORS, ""),
    ("images per step", "batch_size", AUTHORS, ""),
    ("optimizer", "optimizer", AUTHORS, ""),
    ("highest learning rate", "lr", AUTHORS, ""),
    ("schedule, down to 0", "schedule", AUTHORS, ""),
    ("teacher", None, AUTHORS, ""),
    ("teacher's share m of the loss", "distill", LOSS, "KL alone; the authors' README says only “distillation”"),
    ("weight decay", "weight_decay", DECAY, "0 in its step 2, 1e-05 in its step 1"),
    ("light varied", "lighting", IMAGES, "the authors' README: as existing BNNs do"),
    ("colours jittered", "jitter", IMAGES, "not there"),
)


def markdown() -> str:
    """Each setting as our recipes have it, "stage 1 / stage 2" where they differ, beside its source, as a table."""
    stages, rows = [RECIPES[f"imagenet-resnet18-stage{n}"] for n in (1, 2)], []
    for what, field, source, note in SETTINGS:
        values = [getattr(stage, field) for stage in stages] if field else ["ResNet-34"]
        ours = " / ".join(dict.fromkeys(value if isinstance(value, str) else f"{value:g}" for value in values))
        rows.append((what, ours, f"[{source}]({SOURCES[source]}){note and f' ({note})'}"))
    return markdown_table(("setting", "ours", "where it is from"), rows)
