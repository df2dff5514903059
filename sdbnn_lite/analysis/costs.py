"""What notebook 07 counts of whole networks: operations, bytes, and what scaling factors, ASD and WSD add; in words."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ..cost import count
from ..cost.roofline import KINDS, ConvShape
from ..system.target import TARGETS, target
from .captions import span

cost = lru_cache(count.cost)  # a network is run once to count what it does
NETWORKS = ("cifar10_resnet20", "cifar10_resnet18", "cifar10_vgg_small", "imagenet_resnet18")


def operations(name: str) -> dict[str, float]:
    """Of the plain binary network ``name``: the share of its "products" and of its "OPs" that are binary, in percent;
    "million OPs" in all, and how many times as many its float twin needs: "times fewer"."""
    bops, flops, ops = (cost(name, "bnn").total(what) for what in ("bops", "flops", "ops"))
    return {"products": 100 * bops / (bops + flops), "OPs": 100 * bops / 64 / ops, "million OPs": ops / 1e6,
            "times fewer": cost(name, "float").total("ops") / ops}  # fmt: skip


def shares(name: str) -> dict[str, dict[str, float]]:
    """Quantity -> kind of layer -> how much of it is in the plain binary network ``name``."""
    by_kind = cost(name, "bnn").frame().groupby("kind")[["bops", "flops", "ops", "bytes"]].sum()
    return {"products": (by_kind["bops"] + by_kind["flops"]).to_dict(), "OPs": by_kind["ops"].to_dict(),
            "bytes of weights": by_kind["bytes"].to_dict()}  # fmt: skip


def shares_in_words(parts: Mapping[str, Mapping[str, float]]) -> str:
    """:func:`shares` in percent, the largest first, nothing below one percent."""
    said = []
    for what, amounts in parts.items():
        percent = {kind: 100 * amount / sum(amounts.values()) for kind, amount in amounts.items()}
        largest = sorted(percent, key=percent.get, reverse=True)
        said.append(f"{what}: " + ", ".join(f"{kind} {percent[kind]:.0f} %" for kind in largest if percent[kind] >= 1))
    return f"A bar of 100 percent for each. {'; '.join(said)}."


def added(name: str) -> dict[str, float]:
    """What each way adds to the operations of the plain binary network ``name``, in percent of them."""
    ours, scaled = cost(name, "sdbnn"), cost(name, "xnor_pp")
    ways = {"scale, folded": scaled.total("stays"), "scale per filter": scaled.total("folds"),
            "ASD and WSD": ours.total("stays"), "XNOR-Net with K": ours.total("input_scale")}  # fmt: skip
    return {way: 100 * operations / cost(name, "bnn").total("ops") for way, operations in ways.items()}


def order(table: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The ways of :func:`added`, the cheapest first, or [] where not all networks in ``table`` have the same order."""
    orders = [sorted(ways, key=ways.get) for ways in table.values()]
    return orders[0] if all(one == orders[0] for one in orders) else []


def added_in_words(table: Mapping[str, Mapping[str, float]]) -> str:
    """ASD's and WSD's cost beside each way of scaling, over the networks in ``table`` (name -> :func:`added`)."""
    of_k = [100 * ways["ASD and WSD"] / ways["XNOR-Net with K"] for ways in table.values()]
    of_scale = [100 * (ways["ASD and WSD"] / ways["scale per filter"] - 1) for ways in table.values()]
    ours = ", ".join(f"{ways['ASD and WSD']:.1f} % in `{name}`" for name, ways in table.items())
    holds = "holds" if max(of_k) < 100 else "doesn't hold"
    fails = "doesn't" if min(of_scale) > 0 else "does, in some networks,"
    folded = max(ways["scale, folded"] for ways in table.values())
    return (f"**Against XNOR-Net as published, with K,** the claim {holds}: ASD and WSD add {span(of_k)} % of what K "
            f"adds.\n\n**Against a scale per filter** it {fails} hold: they add {span(of_scale)} % more, even if "
            f"nobody folds that scale; folded, it adds {folded:.0f}. XNOR-Net++ and IR-Net have no K.\n\n"
            f"They add {ours}.")  # fmt: skip


def memory(name: str) -> tuple[float, float, float]:
    """Megabytes of weights of ``name``: the float twin's, the plain binary network's, SD-BNN's."""
    return tuple(cost(name, method).total("bytes") / 1e6 for method in ("float", "bnn", "sdbnn"))


def memory_in_words(name: str = "cifar10_resnet18") -> str:
    """How much smaller ``name`` is bit-packed, and what of it stays real."""
    real, binary, ours = memory(name)
    packed = sum(layer.binary_params for layer in cost(name, "bnn").layers) / 8e6
    return (f"`{name}` takes {real / binary:.0f} times fewer bytes as a plain binary network, {real / ours:.0f} times "
            f"fewer with ASD. ASD's matrices take {ours - binary:.2f} MB, all binary weights together "
            f"{packed:.2f} MB.")  # fmt: skip


def intensities(shapes: Sequence[ConvShape]) -> list[tuple]:
    """A row per layer: channels@pixels, products per byte in float32, by popcount alone and with packing, the last over
    the first, and the share of the words' bits that hold a channel."""
    rows = []
    for shape in shapes:
        real, alone, packed = (shape.intensity(kind) for kind in KINDS)
        rows.append((f"{shape.channels}@{shape.height}", f"{real:.0f}", f"{alone:.0f}", f"{packed:.0f}",
                     f"{packed / real:.1f}", f"{shape.channels / (64 * shape.words):.0%}"))  # fmt: skip
    return rows


def widths(seconds: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Rows of all targets: bits and 64-bit words of a register, what counts in it; where ``roofline.by_target`` gave
    its ``seconds``, milliseconds, and how many times as long NumPy's engine takes. "-" where there is none."""
    rows = []
    for name, has in TARGETS.items():
        held = (str(8 * has.vector), str(has.vector // 8)) if has.compiled else ("-", "-")
        time = seconds.get(name)
        timed = (f"{1000 * time:.3g}", f"{seconds['numpy'] / time:.1f}") if time else ("-", "-")
        rows.append((name, *held, has.counts, *timed))
    return rows


def widths_in_words(seconds: Mapping[str, float]) -> str:
    """This process's target, and how many times as long the layer takes for each of the others in ``seconds``."""
    own = target().name
    others = [f",\n{s / seconds[own]:.1f} times as long with {name}" for name, s in seconds.items() if name != own]
    return f"With {own} the layer takes {1000 * seconds[own]:.3g} ms{''.join(others)}."
