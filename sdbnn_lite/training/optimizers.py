"""The optimizers of the recipes, and which parameters weight decay pulls at.

v ← μ·v + (g + λ·w)          w ← w - lr·v          SGD with momentum μ and weight decay λ (L2 in the gradient)

"normsgd" is SGD after g_o ← g_o/‖g_o‖ in every output channel o of the binary layers' latent weights: how many signs
flip then depends on lr, not on how steep the surrogate gradient is. LARS (arXiv:1708.03888) also divides by the norm,
but of a whole layer, and multiplies by the weights' norm; that of a latent weight is inertia, not size (1906.02107).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

from ..core.asd import ActivationSelfDistribution
from ..core.layers import binary_layers
from .recipe import Recipe


def parameter_groups(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """One group that decays with λ = ``recipe.weight_decay``; a second that doesn't, unless ``recipe.decay_all``.

    Then only the weights of convolutions and linear layers decay: not batch norm, ASD's two matrices, WSD's α, RSign's
    β, learned scales, PReLU's slopes, nor any bias. Parameters keep the network's order.
    """
    if recipe.decay_all:
        return [{"params": list(net.parameters()), "weight_decay": recipe.weight_decay}]
    inside_asd = {m for asd in net.modules() if isinstance(asd, ActivationSelfDistribution) for m in asd.modules()}
    kinds = (nn.Conv2d, nn.Linear)
    heavy = {m.weight for m in net.modules() if isinstance(m, kinds) and m not in inside_asd}  # by identity
    decayed = [p for p in net.parameters() if p in heavy]
    free = [p for p in net.parameters() if p not in heavy]
    return [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum or Adam, weight decay as the recipe says; fused, on a GPU those that a CUDA graph can hold."""
    groups, device = parameter_groups(net, recipe), next(net.parameters()).device
    graph = device.type == "cuda"
    lr = torch.tensor(recipe.lr, device=device) if graph else recipe.lr
    if recipe.optimizer == "adam":
        return Adam(groups, lr=lr, capturable=graph, fused=None if graph else True)
    optimizer = TensorSGD(groups, lr, recipe.momentum) if graph else SGD(groups, lr, recipe.momentum, fused=True)
    if recipe.optimizer == "normsgd":
        latent = [layer.weight for layer in binary_layers(net).values()]
        optimizer.register_step_pre_hook(lambda *_: normalise_channels(latent))
    return optimizer


def normalise_channels(weights: Sequence[Tensor]) -> None:
    """Divide each output channel's gradient by its norm: g (O, C, kh, kw) -> g_o/‖g_o‖, in place; 0 stays 0."""
    for weight in weights:
        if weight.grad is not None:
            norms = weight.grad.flatten(1).norm(dim=1).clamp_(min=torch.finfo(weight.dtype).tiny)
            weight.grad.div_(norms.view(-1, 1, 1, 1))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group; a tensor is filled in place, so that a captured graph sees it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


class TensorSGD(SGD):
    """torch's SGD with momentum, its learning rate a tensor on the parameters' device: a CUDA graph can capture it.

    (torch's own asks the tensor for its value, which a capture forbids.) The state has the same names, so that a
    checkpoint of one is a checkpoint of the other; results differ by the rounding of lr·v, to 1e-6 relative.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: Tensor | float, momentum: float):
        super().__init__(groups, lr=0.0, momentum=momentum)
        for group in self.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is evaluated
        """One update of every parameter that has a gradient; gradients are spent (weight decay is added to them)."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            velocity = [self._velocity(p) for p in params]
            if group["weight_decay"]:
                torch._foreach_add_(grads, params, alpha=group["weight_decay"])
            torch._foreach_mul_(velocity, group["momentum"])
            torch._foreach_add_(velocity, grads)
            torch._foreach_sub_(params, torch._foreach_mul(velocity, group["lr"]))

    def _velocity(self, p: Tensor) -> Tensor:
        if self.state[p].get("momentum_buffer") is None:
            self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        return self.state[p]["momentum_buffer"]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, with every buffer in its parameter's memory format (the fast foreach kernels need that)."""
        super().load_state_dict(state_dict)
        for p, entries in self.state.items():
            if entries.get("momentum_buffer") is not None:
                entries["momentum_buffer"] = torch.empty_like(p).copy_(entries["momentum_buffer"])
