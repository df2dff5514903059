"""What a result was measured on, in the words of a caption."""

from collections.abc import Mapping, Sequence

from ..system.machine import processor


def hardware(facts: Mapping) -> str:
    """What a study or a run computed on; where a run was moved to another machine, all of them."""
    *before, last = [*facts.get("earlier", ()), {"machine": facts["machine"]}]
    same = f"{last['machine']['cpu']}, "  # said once
    names = [f"{processor(b['machine'])} up to epoch {b['epochs']}" for b in before] + [processor(last["machine"])]
    names = [name.removeprefix(same) if i and names[i - 1].startswith(same) else name for i, name in enumerate(names)]
    others = f"; elsewhere: {len(facts['elsewhere'])} of the runs" if "elsewhere" in facts else ""
    return ", then ".join(names).replace("(R)", "").replace("(TM)", "") + others


def seed_counts(n: Sequence[int]) -> str:
    """The smallest and the largest of ``n``, or the one number that all are."""
    return " to ".join(dict.fromkeys((f"{min(n):.0f}", f"{max(n):.0f}")))


def study_line(facts: Mapping, n: Sequence[int]) -> str:
    """Data set, network, epochs, number of seeds and test images of a study's figure."""
    return (
        f"{facts['data']}; {facts['network']}, {facts['epochs']} epochs, n = {seed_counts(n)}; "
        f"last epoch, all {facts['test_images']:,} test images"
    )
