"""The six networks. The first convolution and the last linear layer are real-valued; all others are ``BinaryConv2d``.

Five are the networks that SD-BNN (arXiv:2103.02394) trains: ResNets (arXiv:1512.03385), some with Bi-Real Net's
shortcuts (arXiv:1808.00278), and VGG-Small; one is ours. ``build`` makes them. Shapes in comments are those of the
usual input size.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError, check_whole, unknown
from .layers import BinaryConv2d
from .methods import Method, get_method

BinaryConv = Callable[..., BinaryConv2d]  # BinaryConv2d with padding, method, reduction and stage filled in
Block = Callable[..., nn.Module]  # of conv, in_channels, channels and stride


def check_images(images: Tensor, channels: int, dtype: torch.dtype) -> None:
    """Raise UsageError unless ``images`` is a finite (N, channels, H, W) tensor of ``dtype``, N, H, W >= 1."""
    if not isinstance(images, Tensor):
        raise UsageError(f"images: {type(images).__name__} given, a tensor (N, {channels}, H, W) needed")
    if images.ndim != 4 or images.shape[1] != channels or 0 in images.shape:
        raise UsageError(f"images: shape {tuple(images.shape)} given, (N, {channels}, H, W) needed, all at least 1")
    if images.dtype != dtype:
        raise UsageError(f"images: {images.dtype} given, but the network computes in {dtype}; convert one of them")
    try:
        # No value can be looked at while a graph is made (nor inside torch.func.vmap). The sum is a tenth of the work.
        seen = torch.compiler.is_compiling() or torch.isfinite(images.sum()) or torch.isfinite(images).all()
    except RuntimeError:
        return
    if not seen:
        raise UsageError("images: NaN or infinite values given; a sign of them would mean nothing")


class BinaryNet(nn.Module):
    """A network that knows how it was built (``name``, ``method``, ``options``) and checks what it is fed."""

    name: str
    method: Method
    options: dict[str, Any]  # the arguments of ``build`` that rebuild it
    about: dict[str, Any]  # what its file says of it
    conv1: nn.Conv2d
    classify: Callable[[Tensor], Tensor]  # images that were checked to logits
    sizes = "any size"  # that it takes, in words

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W); raises UsageError for wrong rank, channels, dtype or NaN."""
        self.check(images)
        return self.classify(images)

    def check(self, images: Tensor) -> None:
        """Raise UsageError unless the network takes these images."""
        weight = self.conv1.weight
        check_images(images, weight.shape[1], weight.dtype)
        height, width = images.shape[2:]
        if not self.takes(height, width):
            raise UsageError(f"images: {height}×{width} pixels given, {self.sizes} needed")

    def takes(self, height: int, width: int) -> bool:
        """Whether images of that many pixels fit; ``sizes`` says in words which do."""
        return True


class SizedNet(BinaryNet):
    """A network whose classifier was built for one image size."""

    def __init__(self, image_size: int):
        super().__init__()
        self.image_size, self.sizes = image_size, f"{image_size}×{image_size} (build's image_size)"

    def takes(self, height: int, width: int) -> bool:
        return height == width == self.image_size


class PadShortcut(nn.Module):
    """ResNet's option A (arXiv:1512.03385): every second pixel; zero channels on both sides up to ``out_channels``."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.extra = (out_channels - in_channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))


class ResNet20Block(nn.Module):
    """Two binary convolutions with a shortcut around *each* (as in Bi-Real Net), Hardtanh after each addition."""

    def __init__(self, conv: BinaryConv, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = conv(in_channels, channels, stride=stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity() if stride == 1 else PadShortcut(in_channels, channels)
        self.conv2 = conv(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.bn1(self.conv1(x)) + self.shortcut(x))
        return F.hardtanh(self.bn2(self.conv2(x)) + x)


class ResNet18Block(nn.Module):
    """Two binary convolutions with *one* shortcut around both, real 1×1 convolution + BN where the shape changes."""

    def __init__(self, conv: BinaryConv, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = conv(in_channels, channels, stride=stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            real = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(real, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardtanh(self.bn1(self.conv1(x)))
        return F.hardtanh(self.bn2(self.conv2(y)) + self.shortcut(x))


def _stages(block: Block, conv: BinaryConv, widths: tuple[int, ...], blocks: tuple[int, ...]) -> list[nn.Sequential]:
    """One ``nn.Sequential`` of blocks per width; every stage but the first halves the image in its first block."""
    stages, in_channels = [], widths[0]
    for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        stage = []
        for j in range(count):
            stage.append(block(conv, in_channels, width, stride=2 if i > 0 and j == 0 else 1))
            in_channels = width
        stages.append(nn.Sequential(*stage))
    return stages


class CifarResNet(BinaryNet):
    """conv 3×3 - BN - Hardtanh - stages - global mean - BatchNorm1d - linear. Any image size from 8 (4 stages) up."""

    def __init__(self, conv: BinaryConv, block: Block, widths: tuple[int, ...], blocks: tuple[int, ...],
                 num_classes: int, in_channels: int):  # fmt: skip
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layers = nn.Sequential(*_stages(block, conv, widths, blocks))
        self.bn2 = nn.BatchNorm1d(widths[-1])
        self.linear = nn.Linear(widths[-1], num_classes)
        for m in self.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(m.weight)

    def classify(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.bn1(self.conv1(x)))  # (N, 16 or 64, 32, 32)
        x = self.layers(x)  # (N, 64, 8, 8) or (N, 512, 4, 4)
        return self.linear(self.bn2(x.mean(dim=(2, 3))))


class VGGSmall(SizedNet):
    """One real and five binary convolutions; max-pool *before* BN after the 1st, 3rd and 5th binary one."""

    widths = (128, 128, 256, 256, 512, 512)
    pooled = (False, True, False, True, False, True)

    def __init__(self, conv: BinaryConv, num_classes: int, in_channels: int, image_size: int):
        super().__init__(image_size)
        self.conv1 = nn.Conv2d(in_channels, self.widths[0], 3, padding=1, bias=False)
        self.convs = nn.ModuleList(conv(c, o) for c, o in zip(self.widths, self.widths[1:]))
        self.bns = nn.ModuleList(nn.BatchNorm2d(c) for c in self.widths)
        self.linear = nn.Linear(self.widths[-1] * (image_size // 8) ** 2, num_classes)  # 512·4·4 = 8192 at 32 px
        for m in (self.conv1, *self.convs):
            o, _, k, _ = m.weight.shape
            nn.init.normal_(m.weight, 0, (2 / (k * k * o)) ** 0.5)
        nn.init.normal_(self.linear.weight, 0, 0.01)
        nn.init.zeros_(self.linear.bias)

    def classify(self, x: Tensor) -> Tensor:
        for conv, bn, pooled in zip((self.conv1, *self.convs), self.bns, self.pooled, strict=True):
            x = conv(x)
            x = F.hardtanh(bn(F.max_pool2d(x, 2) if pooled else x))
        return self.linear(x.flatten(1))


class DigitsConvNet(SizedNet):
    """Ours, for the embedded digits: real conv 1→32, binary 32→64 and 64→64 with pooling, Hardtanh, linear."""

    def __init__(self, conv: BinaryConv, num_classes: int, in_channels: int, image_size: int):
        super().__init__(image_size)
        self.conv1 = nn.Conv2d(in_channels, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = conv(32, 64)
        self.bn2 = nn.BatchNorm2d(64)
        self.conv3 = conv(64, 64)
        self.bn3 = nn.BatchNorm2d(64)
        self.linear = nn.Linear(64 * (image_size // 4) ** 2, num_classes)

    def classify(self, x: Tensor) -> Tensor:
        x = F.hardtanh(self.bn1(self.conv1(x)))  # (N, 32, 8, 8)
        x = F.hardtanh(self.bn2(F.max_pool2d(self.conv2(x), 2)))  # (N, 64, 4, 4)
        x = F.hardtanh(self.bn3(F.max_pool2d(self.conv3(x), 2)))  # (N, 64, 2, 2)
        return self.linear(x.flatten(1))


class BiRealBlock(nn.Module):
    """*One* binary 3×3 convolution, BN, + shortcut (mean-pool, real 1×1, BN where the shape changes), then PReLU."""

    def __init__(self, conv: BinaryConv, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv = conv(in_channels, channels, stride=stride)
        self.bn = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            real = nn.Conv2d(in_channels, channels, 1, bias=False)
            self.shortcut = nn.Sequential(nn.AvgPool2d(2, stride=stride), real, nn.BatchNorm2d(channels))
        self.prelu = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn(self.conv(x)) + self.shortcut(x))


class ImageNetResNet(BinaryNet):
    """Bi-Real Net (arXiv:1808.00278): 7×7 stride-2 convolution, BN, max-pool (no non-linearity there), four stages,
    global mean, linear."""

    widths = (64, 128, 256, 512)
    sizes = "sides that are halved five times without a remainder (a multiple of 32, or up to 3 less)"

    def takes(self, height: int, width: int) -> bool:
        """The binary convolution rounds a half up and the shortcut's mean-pool down: both have to be even thrice."""
        return all((side + 3) // 4 % 8 == 0 for side in (height, width))

    def __init__(self, conv: BinaryConv, blocks: tuple[int, ...], num_classes: int, in_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layers = nn.Sequential(*_stages(BiRealBlock, conv, self.widths, blocks))
        self.linear = nn.Linear(512, num_classes)
        for m in self.modules():
            if isinstance(m, BinaryConv2d) and m.method.binary and m.binary_weights:  # latent; real ones keep Kaiming's
                nn.init.uniform_(m.weight, 0, 0.001)  # as published; Bi-Real Net's code does the same

    def classify(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.bn1(self.conv1(x)), 3, stride=2, padding=1)  # (N, 64, 56, 56) at 224 px
        x = self.layers(x)  # (N, 512, 7, 7)
        return self.linear(x.mean(dim=(2, 3)))


_RESNET20 = partial(CifarResNet, block=ResNet20Block, widths=(16, 32, 64), blocks=(3, 3, 3))
_RESNET18 = partial(CifarResNet, block=ResNet18Block, widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2))

# name: (class with its shape filled in, classes, input channels, image size if the classifier depends on it, r of ASD)
_NETWORKS: dict[str, tuple[Callable[..., BinaryNet], int, int, int | None, int]] = {
    "cifar10_resnet20": (_RESNET20, 10, 3, None, 16),
    "cifar10_resnet18": (_RESNET18, 10, 3, None, 16),
    "cifar10_vgg_small": (VGGSmall, 10, 3, 32, 16),
    "digits_convnet": (DigitsConvNet, 10, 1, 8, 16),
    "imagenet_resnet18": (partial(ImageNetResNet, blocks=(4, 4, 4, 4)), 1000, 3, None, 8),
    "imagenet_resnet34": (partial(ImageNetResNet, blocks=(6, 8, 12, 6)), 1000, 3, None, 8),
}
NETWORKS = tuple(_NETWORKS)
SIZED = {"cifar10_vgg_small": 8, "digits_convnet": 4}  # networks that are built for one size: a multiple of this
IMAGE_SIZES = {name: 224 if name.startswith("imagenet") else 32 for name in NETWORKS} | {"digits_convnet": 8}  # usual


def build(name: str, method: str | Method = "sdbnn", num_classes: int | None = None, *, stage: int = 2,
          in_channels: int | None = None, image_size: int | None = None) -> BinaryNet:  # fmt: skip
    """A network with random weights, float32 on the CPU; ``.to`` and ``.double()`` take it anywhere else.

    name          one of ``NETWORKS``
    method        one of ``methods.METHODS``, or a Method
    num_classes   default 10 (CIFAR, digits) or 1000 (ImageNet)
    stage         1: real weights under binary activations; 2: both binary (ImageNet's two stages; works on all)
    in_channels   default 3, digits 1
    image_size    pixels per side, only where the classifier depends on it: cifar10_vgg_small (default 32, a multiple
                  of 8) and digits_convnet (default 8, a multiple of 4); cifar10_resnet* take any size, imagenet_resnet*
                  those that can be halved five times

    Raises UsageError for anything else, with the choices.
    """
    if not isinstance(name, str) or name not in _NETWORKS:
        raise unknown("network", name, NETWORKS)
    network, default_classes, default_channels, default_size, reduction = _NETWORKS[name]
    num_classes = default_classes if num_classes is None else num_classes
    in_channels = default_channels if in_channels is None else in_channels
    check_whole(num_classes=num_classes, in_channels=in_channels)
    if stage not in (1, 2) or isinstance(stage, bool):
        raise UsageError(f"stage={stage!r}: 1 (real weights, binary activations) or 2 (both binary)")
    sized = {}
    if default_size is None and image_size is not None:
        sizes = (ImageNetResNet if name.startswith("imagenet") else CifarResNet).sizes
        raise UsageError(f"image_size={image_size!r}: {name} isn't built for a size (it takes {sizes})")
    if default_size is not None:
        image_size = default_size if image_size is None else image_size
        check_whole(image_size=image_size)
        if image_size % SIZED[name]:
            raise UsageError(f"image_size={image_size}: {name} needs a multiple of {SIZED[name]}")
        sized["image_size"] = image_size
    chosen = get_method(method, imagenet=name.startswith("imagenet"))
    conv = partial(BinaryConv2d, padding=1, method=chosen, reduction=reduction, binary_weights=stage == 2)
    net = network(conv, num_classes=num_classes, in_channels=in_channels, **sized)
    made = {"method": chosen.name, "num_classes": num_classes, "stage": stage, "in_channels": in_channels}
    net.name, net.method, net.options = name, chosen, made | sized
    return net
