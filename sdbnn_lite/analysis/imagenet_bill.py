"""What the real run on ImageNet would take, as the tables of docs/cluster.md; each number says how it is known."""

from ..cost import imagenet_measured
from ..cost import imagenet_plan as plan
from ..system.machine import processor
from ..system.text import markdown_table
from . import speed

READING = {"torchvision": "torchvision's loader", "threads, reduced": "decoding", "packed": "packed copy"}
SLOWER = (1.0, 2.0, 4.0)  # guesses: our step's time over a real-valued ResNet-18's
KEEPS = 0.9  # a guess: the share of its speed that each of several GPUs keeps
WATTS = 350  # of one GPU, assumed
GPUS = 8  # what the bill is for


def reading_costs() -> dict[str, float]:
    """Microseconds of a core that one photograph costs, by way of reading, from the committed measurement."""
    rows = speed.read("data")["data"]
    return {READING[row["way"]]: row["cpu_us"] for row in rows
            if row["source"].startswith("photographs") and row["pixels"] == 224 and row["way"] in READING
            and row["workers"] == (row["way"] != "torchvision")}  # fmt: skip


def markdown() -> str:
    """Hours, cores and memory over the number of GPUs, the bill of ``GPUS`` of them, and where the numbers are from."""
    work, cpu_us = plan.work_of(), reading_costs()
    kept, parameters = imagenet_measured.kept_per_image(), imagenet_measured.parameter_counts()
    tables = [plan.table(work, plan.assumed(slower, KEEPS), cpu_us, kept, *parameters) for slower in SLOWER]
    middle = tables[len(SLOWER) // 2]
    heads = ["GPUs", *(f"hours, step ×{slower:g}" for slower in SLOWER), "images/s",
             *(f"cores: {way}" for way in cpu_us), "GiB a GPU"]  # fmt: skip
    rows = [[row["gpus"], *(f"{one[i]['hours']:.0f}" for one in tables), f"{row['images_s']:,.0f}",
             *(f"{row[f'cores, {way}']:.0f}" for way in cpu_us), f"{row['GiB']:.1f}"]
            for i, row in enumerate(middle)]  # fmt: skip
    chosen = next(row for row in middle if row["gpus"] == GPUS)
    bill = markdown_table([f"{GPUS} GPUs", "", "known how"], plan.bill(chosen, work, parameters[0], WATTS))
    facts = [f"- {fact.value:,} {fact.what} ([{fact.place}]({fact.source}))" for fact in plan.FACTS.values()]
    return "\n\n".join([
        markdown_table(heads, rows),
        f"Hours: both stages, if a step takes so many times as long as a real-valued ResNet-18's, and several GPUs "
        f"keep {KEEPS:.0%} of their speed: guesses. All other columns: ×{SLOWER[len(SLOWER) // 2]:g}. Cores: measured "
        f"on {processor(speed.read('data')['machine'])} (`sdbnn-lite bench data`). Memory: counted, "
        f"{kept / 2**20:.0f} MiB kept for the backward pass of an image.",
        bill, f"Power: {WATTS} W a GPU, assumed. Quoted:", "\n".join(facts),
    ])  # fmt: skip
