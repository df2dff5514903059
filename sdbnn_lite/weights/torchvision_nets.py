"""Teachers that aren't ours: torchvision's real-valued ResNets, from a state dict in torch's own format.

ImageNet's students learn from torchvision's ResNet-34 (IMAGENET1K_V1, 73.3 % top-1 in torchvision's own table): its
classes are in ``ImageFolder``'s order and its images normalised as ours. The file's name holds the beginning of its
SHA-256, as do all of torchvision's; it is compared whenever the file is read, not only after the download.
"""

import hashlib
from pathlib import Path

import torch
import torchvision.models as zoo
from torch import Tensor, nn

from ..errors import UsageError
from .torch_files import read_state_dict

ARCHITECTURES = ("resnet18", "resnet34", "resnet50", "resnet101")
COUNTER = "num_batches_tracked"  # of batch norm
PUBLISHED = zoo.ResNet34_Weights.IMAGENET1K_V1


class Teacher(nn.Module):
    """A torchvision ResNet that can be asked as a ``BinaryNet`` can: images (N, 3, H, W) -> logits (N, classes)."""

    sizes = "32 pixels a side or more"

    def __init__(self, name: str, num_classes: int):
        super().__init__()
        self.name = f"torchvision's {name}"
        self.net = getattr(zoo, name)(num_classes=num_classes)
        self.options = {"in_channels": 3, "num_classes": num_classes}

    def takes(self, height: int, width: int) -> bool:
        return min(height, width) >= 32

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)

    classify = forward


def read_teacher(path: str | Path) -> Teacher:
    """The ResNet whose state dict is in ``path``, in evaluation mode, float32 on the CPU.

    Names may begin with "module.", as trainers leave them. Raises UsageError, naming the file, for one that
    :func:`.torch_files.read_state_dict` refuses, and unless names and shapes are those of one of ``ARCHITECTURES``.
    """
    state = read_state_dict(path, f"--teacher {path}")
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    shapes = _shapes(state)
    classes = shapes.get("fc.weight", (0,))[0]
    for name in ARCHITECTURES if classes else ():
        with torch.device("meta"):
            expected = Teacher(name, classes).net.state_dict()
        if shapes == _shapes(expected):
            break
    else:
        raise UsageError(f"--teacher {path}: its {len(state)} tensors aren't those of {', '.join(ARCHITECTURES)}")
    teacher = Teacher(name, classes)
    counters = {k: v for k, v in teacher.net.state_dict().items() if k.endswith(COUNTER)}
    teacher.net.load_state_dict({**counters, **state})  # very old files lack the counters, which nothing reads here
    return teacher.requires_grad_(False).eval()


def _shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor but batch norm's counters."""
    return {key: tuple(value.shape) for key, value in state.items() if not key.endswith(COUNTER)}


def published_teacher(download: bool) -> Teacher:
    """torchvision's ResNet-34 from torch's cache folder (TORCH_HOME), fetched there first with ``download``.

    Raises UsageError where it is missing or can't be fetched, or isn't the published file.
    """
    name = PUBLISHED.url.rpartition("/")[2]  # resnet34-b627a593.pth
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        if not download:
            raise UsageError(f"ImageNet's recipes learn from torchvision's ResNet-34: add --download to fetch it once "
                             f"(83 MB, {PUBLISHED.url}), or give --teacher FILE")  # fmt: skip
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(PUBLISHED.url, str(path), hash_prefix=None, progress=False)
        except OSError as error:  # no network: URLError, an OSError
            raise UsageError(f"{PUBLISHED.url} can't be had ({error}): fetch it on another machine, and give it as "
                             f"--teacher FILE") from error  # fmt: skip
    check_hash(path)
    return read_teacher(path)


def check_hash(path: Path) -> None:
    """Raise UsageError unless the file's SHA-256 begins with the eight digits at the end of its name."""
    expected, digest = path.stem.rpartition("-")[2], hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(expected):
        raise UsageError(f"{path}: SHA-256 begins with {digest[: len(expected)]}, not {expected}: a damaged or changed "
                         f"file; remove it and fetch it again with --download")  # fmt: skip
