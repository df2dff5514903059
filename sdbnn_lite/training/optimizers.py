"""The optimizers of the recipes, and which parameters weight decay pulls at.

v ← μ·v + (g + λ·w)          w ← w - lr·v          SGD with momentum μ and weight decay λ (L2 in the gradient)
"""

import torch
from torch import Tensor, nn

from ..core.asd import ActivationSelfDistribution
from ..core.layers import BinaryConv2d
from .recipe import Recipe


def parameter_groups(net: nn.Module, recipe: Recipe) -> list[dict]:
    """One group that decays with λ = ``recipe.weight_decay``; a second that doesn't, unless ``recipe.decay_all``.

    Then only the weights of convolutions (real and binary) and of linear layers decay: not batch norm, ASD's two
    matrices, WSD's α, RSign's β, learned scales, PReLU's slopes, nor any bias. Parameters keep the network's order.
    """
    if recipe.decay_all:
        return [{"params": list(net.parameters()), "weight_decay": recipe.weight_decay}]
    inside_asd = {id(m) for asd in net.modules() if isinstance(asd, ActivationSelfDistribution) for m in asd.modules()}
    kinds = (nn.Conv2d, nn.Linear, BinaryConv2d)
    heavy = {id(m.weight) for m in net.modules() if isinstance(m, kinds) and id(m) not in inside_asd}
    decayed = [p for p in net.parameters() if id(p) in heavy]
    free = [p for p in net.parameters() if id(p) not in heavy]
    return [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum or Adam, weight decay as the recipe says; on a GPU those that a CUDA graph can hold."""
    groups = parameter_groups(net, recipe)
    device = next(net.parameters()).device
    if device.type != "cuda":
        if recipe.optimizer == "adam":
            return torch.optim.Adam(groups, lr=recipe.lr)
        return torch.optim.SGD(groups, recipe.lr, recipe.momentum)
    lr = torch.tensor(recipe.lr, device=device)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=lr, capturable=True)
    return TensorSGD(groups, lr, recipe.momentum)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group; a tensor is filled in place, so that a captured graph sees it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


class TensorSGD(torch.optim.SGD):
    """torch's SGD with momentum, its learning rate a tensor on the parameters' device: a CUDA graph can capture it.

    (torch's own asks the tensor for its value, which a capture forbids.) The state has the same names, so that a
    checkpoint of one is a checkpoint of the other; results differ by the rounding of lr·v, to 1e-6 relative.
    """

    def __init__(self, groups: list[dict], lr: Tensor, momentum: float):
        super().__init__(groups, lr=0.0, momentum=momentum)
        for group in self.param_groups:
            group["lr"] = lr

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
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

    def load_state_dict(self, state_dict: dict) -> None:
        """As torch's, with every buffer in its parameter's memory format (the fast foreach kernels need that)."""
        super().load_state_dict(state_dict)
        for p, entries in self.state.items():
            if entries.get("momentum_buffer") is not None:
                entries["momentum_buffer"] = torch.empty_like(p).copy_(entries["momentum_buffer"])
