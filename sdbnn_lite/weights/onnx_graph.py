"""A network as an ONNX graph, operator by operator.

torch.fx lists what ``classify`` does; every entry becomes the operators of the ONNX standard that compute the same:

    BinaryConv2d     [Add of the shift] - GreaterOrEqual(x, 0) - Where(+1, -1) - Conv(ŵ, ±1 constants) [- Mul(scale)]
    ASD's shift      GlobalAveragePool - Conv 1×1 (W1) - Relu - Conv 1×1 (W2) - Sigmoid or Tanh
    batch norm       BatchNormalization with the running statistics: always the network in evaluation mode
    Hardtanh, linear, mean over the pixels     Clip(-1, 1), Gemm, GlobalAveragePool - Flatten

ONNX's own Sign isn't used: its sign(0) is 0, ours +1. A Conv pads with 0, and here it does so after the sign. Shifts of
weights, scales and gradients leave no operators behind: ŵ and s are computed once, and stored.

Why not ``torch.onnx.export``: torch 2.4 has only the TorchScript exporter, deprecated since 2.9; the next one needs two
packages more; and both compute ŵ from the latent weights at every run.
"""

import operator
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ..core.layers import BinaryConv2d
from ..core.models import BinaryNet
from ..errors import UsageError
from .preprocessing import options_of

OPSET, IR_VERSION = 17, 8  # of 2022: what tools have long been able to read; nothing here needs a later one
INPUT, OUTPUT, BATCH = "images", "logits", "batch"
EVERYTHING = 2**63 - 1  # ONNX's end of a slice without one


def need_onnx():
    """The package ``onnx``; raises UsageError, saying how to get it, where it isn't installed."""
    try:
        import onnx
    except ImportError as error:
        raise UsageError("ONNX files are written with the package onnx: pip install 'sdbnn-lite[onnx]'") from error
    return onnx


class _Tracer(fx.Tracer):
    """Goes down to torch's own layers and to the binary convolutions, and not into them."""

    traced_func_name = "classify"  # ``forward`` looks at the images' values, which no graph can

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, BinaryConv2d) or super().is_leaf_module(module, name)


class GraphWriter:
    """The nodes and constants of one network's graph. A value is known by its name, as in ONNX itself.

    Each method below writes one layer or function; the first value it takes is the layer's input, and what it returns
    is its output. ``self.name`` is what the layer is called: its dotted name, or torch.fx's for a function.
    """

    def __init__(self, net: BinaryNet):
        self.helper, self.from_array = need_onnx().helper, need_onnx().numpy_helper.from_array
        self.dtype = net.conv1.weight.dtype
        self.nodes: list = []
        self.constants: dict = {}
        self.name = ""
        self.output = self._run(net)

    @torch.no_grad()
    def _run(self, net: BinaryNet) -> str:
        values: dict[fx.Node, str] = {}
        for entry in _Tracer().trace(net).nodes:
            if entry.op == "placeholder":
                values[entry] = INPUT
                continue
            args, kwargs = fx.map_arg((entry.args, dict(entry.kwargs)), values.__getitem__)
            if entry.op == "output":
                return args[0]
            self.name, write = entry.name, FUNCTIONS.get(entry.target)
            if entry.op == "call_module":
                layer = net.get_submodule(entry.target)
                self.name, write, args = entry.target, LAYERS.get(type(layer)), (*args, layer)
            self.need(write is not None)
            values[entry] = write(self, *args, **kwargs)
        raise AssertionError("torch.fx ends every graph with an output")

    def add(self, op: str, *inputs: str, part: str = "", **attributes: object) -> str:
        """One node; its output's name is the layer's, with ``/part`` where the layer has several."""
        name = f"{self.name}/{part}" if part else self.name
        self.nodes.append(self.helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def need(self, known: bool) -> None:
        """Raise UsageError unless what is about to be written is one of the forms that this module knows."""
        if not known:
            raise UsageError(f"{self.name}: no ONNX form is known for it (see sdbnn_lite/weights/onnx_graph.py)")

    def constant(self, name: str, value: Tensor) -> str:
        """A stored tensor; the same name gives the same one."""
        if name not in self.constants:
            self.constants[name] = self.from_array(value.detach().cpu().contiguous().numpy(), name)
        return name

    def number(self, value: float) -> str:
        """A constant of the network's type."""
        return self.constant(f"{value:+g}", torch.tensor(value, dtype=self.dtype))

    def weights(self, part: str, value: Tensor) -> str:
        """A constant that belongs to the layer."""
        return self.constant(f"{self.name}.{part}", value)

    def conv(self, x: str, layer: nn.Conv2d) -> str:
        """A real convolution: (N, C, H, W) -> (N, O, H', W')."""
        self.need(layer.bias is None and layer.groups == 1 and layer.dilation == (1, 1))
        return self.convolve(x, self.weights("weight", layer.weight), layer.stride, layer.padding)

    def convolve(self, x: str, w: str, stride: tuple[int, int], padding: tuple[int, int], part: str = "") -> str:
        """Conv with a stride and a border of zeros, both (down, right); the border is as wide on either side."""
        return self.add("Conv", x, w, part=part, strides=list(stride), pads=[*padding, *padding])

    def binary_conv(self, a: str, layer: BinaryConv2d) -> str:
        """y = scale · conv2d(sign(a + shift), ŵ), as in ``layers``; the float twin's is a plain one."""
        if layer.method.binary and layer.binary_weights:
            w = self.weights("binary_weight", layer.binary_weight())
        else:
            w = self.weights("weight", layer.weight)
        if layer.method.binary:
            a = self.sign(a if layer.method.activation_shift is None else self.shifted(a, layer))
        scale, sides = layer.scale(), (layer.stride, layer.padding)
        if scale is None:
            return self.convolve(a, w, *sides)
        y = self.convolve(a, w, *sides, part="unscaled")
        return self.add("Mul", y, self.weights("scale", scale[None, :, None, None]))

    def sign(self, x: str) -> str:
        """+1 where x >= 0, else -1: never 0."""
        positive = self.add("GreaterOrEqual", x, self.number(0.0), part="positive")
        return self.add("Where", positive, self.number(1.0), self.number(-1.0), part="sign")

    def shifted(self, a: str, layer: BinaryConv2d) -> str:
        """a + RSign's β, or a + ASD's σ(W2 · relu(W1 · mean(a))), or tanh's; (N, C, H, W) both."""
        self.need(layer.own_shift is None)
        if layer.rsign is not None:
            return self.add("Add", a, self.weights("rsign.beta", layer.activation_shift(None)), part="shifted")
        w1, w2 = layer.asd.squeeze.weight, layer.asd.expand.weight  # (C / r, C), (C, C / r)
        mean = self.add("GlobalAveragePool", a, part="mean")  # (N, C, 1, 1)
        hidden = self.add("Conv", mean, self.weights("asd.squeeze.weight", w1[:, :, None, None]), part="squeeze")
        hidden = self.add("Relu", hidden, part="relu")
        hidden = self.add("Conv", hidden, self.weights("asd.expand.weight", w2[:, :, None, None]), part="expand")
        bound = "Tanh" if layer.asd.tanh else "Sigmoid"
        return self.add("Add", a, self.add(bound, hidden, part="shift"), part="shifted")

    def batch_norm(self, x: str, layer: nn.BatchNorm2d | nn.BatchNorm1d) -> str:
        """γ·(x - μ)/√(σ² + ε) + β with the running μ and σ²."""
        parts = ("weight", "bias", "running_mean", "running_var")
        values = (self.weights(part, getattr(layer, part)) for part in parts)
        return self.add("BatchNormalization", x, *values, epsilon=layer.eps)

    def linear(self, x: str, layer: nn.Linear) -> str:
        """x · Wᵀ + b: (N, C) -> (N, classes)."""
        bias = [] if layer.bias is None else [self.weights("bias", layer.bias)]
        return self.add("Gemm", x, self.weights("weight", layer.weight), *bias, transB=1)

    def prelu(self, x: str, layer: nn.PReLU) -> str:
        """x where x >= 0, else slope·x, a slope per channel."""
        return self.add("PRelu", x, self.weights("weight", layer.weight[:, None, None]))

    def mean_pool(self, x: str, layer: nn.AvgPool2d) -> str:
        """The mean of every k × k pixels; a rest at the border is left out."""
        self.need(layer.padding == 0 and not layer.ceil_mode)
        return self.add("AveragePool", x, kernel_shape=[layer.kernel_size] * 2, strides=[layer.stride] * 2)

    def hardtanh(self, x: str, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> str:
        """x between -1 and 1."""
        return self.add("Clip", x, self.number(min_val), self.number(max_val))

    def max_pool(self, x: str, kernel_size: int, stride: int | None = None, padding: int = 0, **rest: object) -> str:
        """The maximum of every k × k pixels; a border counts as -∞."""
        self.need(rest.get("dilation", 1) == 1 and not rest.get("ceil_mode") and not rest.get("return_indices"))
        step = kernel_size if stride is None else stride
        return self.add("MaxPool", x, kernel_shape=[kernel_size] * 2, strides=[step] * 2, pads=[padding] * 4)

    def every_other(self, x: str, index: tuple[slice, ...]) -> str:
        """x[:, :, ::2, ::2], or other steps."""
        self.need(all(isinstance(part, slice) and part.start is None and part.stop is None for part in index))
        steps = {axis: part.step for axis, part in enumerate(index) if part.step is not None}
        starts, ends = [0] * len(steps), [EVERYTHING] * len(steps)
        columns = {"starts": starts, "ends": ends, "axes": list(steps), "steps": list(steps.values())}
        return self.add("Slice", x, *(self.weights(part, torch.tensor(column)) for part, column in columns.items()))

    def pad(self, x: str, pad: tuple[int, ...], mode: str = "constant", value: float | None = None) -> str:
        """Zeros around x; torch counts from the last axis on, ONNX names all beginnings, then all ends."""
        self.need(mode == "constant" and not value)
        begins, ends = pad[0::2][::-1], pad[1::2][::-1]
        rest = (0,) * (4 - len(begins))
        return self.add("Pad", x, self.weights("pads", torch.tensor([*rest, *begins, *rest, *ends])))

    def pixel_mean(self, x: str, dim: tuple[int, ...]) -> str:
        """The mean over the pixels: (N, C, H, W) -> (N, C)."""
        self.need(dim == (2, 3))
        return self.add("Flatten", self.add("GlobalAveragePool", x, part="mean"), axis=1)


LAYERS: dict[type, Callable] = {
    BinaryConv2d: GraphWriter.binary_conv,
    nn.Conv2d: GraphWriter.conv,
    **dict.fromkeys((nn.BatchNorm2d, nn.BatchNorm1d), GraphWriter.batch_norm),
    nn.Linear: GraphWriter.linear,
    nn.PReLU: GraphWriter.prelu,
    nn.AvgPool2d: GraphWriter.mean_pool,
    nn.Identity: lambda writer, x, layer: x,
}
FUNCTIONS: dict[object, Callable] = {  # functions, and methods of a tensor by their name
    F.hardtanh: GraphWriter.hardtanh,
    F.max_pool2d: GraphWriter.max_pool,
    F.pad: GraphWriter.pad,
    operator.add: lambda writer, x, y: writer.add("Add", x, y),
    operator.getitem: GraphWriter.every_other,
    "mean": GraphWriter.pixel_mean,
    "flatten": lambda writer, x, start_dim: writer.add("Flatten", x, axis=start_dim),
}


def onnx_model(net: BinaryNet, image_size: int, metadata: dict[str, str]):
    """The network as an ``onnx.ModelProto``: images (batch, C, size, size) -> logits (batch, classes).

    The batch is any number of images. Types are the network's own, float32 or float64; ``net`` stays as it is.
    """
    onnx = need_onnx()
    writer = GraphWriter(net)
    last = next(node for node in writer.nodes if node.output[0] == writer.output)
    last.output[0] = OUTPUT
    helper = onnx.helper
    kind = {torch.float32: onnx.TensorProto.FLOAT, torch.float64: onnx.TensorProto.DOUBLE}[writer.dtype]
    options = options_of(net)
    images = [BATCH, options["in_channels"], image_size, image_size]
    inputs = [helper.make_tensor_value_info(INPUT, kind, images)]
    outputs = [helper.make_tensor_value_info(OUTPUT, kind, [BATCH, options["num_classes"]])]
    graph = helper.make_graph(writer.nodes, net.name, inputs, outputs, list(writer.constants.values()))
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sdbnn_lite")
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model
