"""How a file goes wrong: bits flip, bytes are cut, swapped, put in; or a JSON in it says something else."""

import copy
import json
import os
import pickle
import random

ODD = [None, True, False, -1, 0, 1, 2, 0.5, 10**12, 10**30, -(10**12), float("nan"), float("inf"), "", "x", "9" * 30,
       "../../up", "\ud7ff", [], [1, 2], {}, {"a": 1}, [[[[]]]]]  # fmt: skip


class Bomb:
    """A pickle that makes a folder when it is read."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def mutated(content: bytes, rng: random.Random, header: str, marker) -> tuple[str, bytes]:
    """A name for what was done, and the content after it. ``header``: where a JSON is ("safetensors", "json", "").

    ``marker``: what a pickle's code would make.
    """
    kinds = [flip, flip, cut, swap, insert, repeat]
    kinds += {"safetensors": [in_header] * 4, "json": [in_json] * 4, "csv": [in_csv] * 4}.get(header, [])
    if rng.random() < 0.01:
        return "pickle", pickle.dumps({"state_dict": Bomb(marker)}, protocol=2)
    kind = rng.choice(kinds)
    return kind.__name__, kind(content, rng)


def flip(content, rng):
    """One to eight bits; mostly among the first bytes, where what follows is described."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 8))):
        place = rng.randrange(min(len(found), 2000) if rng.random() < 0.5 else len(found))
        found[place] ^= 1 << rng.randrange(8)
    return bytes(found)


def cut(content, rng):
    return content[: rng.randrange(len(content))]


def swap(content, rng):
    """Two pieces of the same length change places."""
    n = min(rng.choice((1, 4, 64)), len(content) // 2)
    a, b = sorted((rng.randrange(len(content) - n + 1), rng.randrange(len(content) - n + 1)))
    b = max(b, a + n) if a + 2 * n <= len(content) else b
    return content[:a] + content[b : b + n] + content[a + n : b] + content[a : a + n] + content[b + n :]


def insert(content, rng):
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.choice((1, 3, 100))) + content[place:]


def repeat(content, rng):
    """A piece stands there twice."""
    a = rng.randrange(len(content))
    b = min(len(content), a + rng.choice((1, 50, 1000)))
    return content[:b] + content[a:b] + content[b:]


def in_json(content, rng):
    """The JSON's values, names and types; or so deep that no reader gets to the end."""
    if rng.random() < 0.02:
        return b"[" * 100_000
    return json.dumps(changed(json.loads(content), rng)).encode()


def in_header(content, rng):
    """The same in a safetensors file: in what describes the tensors, or in the text that goes with them."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    if rng.random() < 0.7:
        key = rng.choice(list(header["__metadata__"]))
        said = header["__metadata__"][key]
        try:
            text = json.dumps(changed(json.loads(said), rng))
        except ValueError:
            text = said[::-1]
        header["__metadata__"][key] = "[" * 100_000 if rng.random() < 0.02 else text
    else:
        header = changed(header, rng)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    size = rng.choice((2**40, 2**63, 0)) if rng.random() < 0.05 else len(text)
    return size.to_bytes(8, "little") + text + content[8 + int.from_bytes(content[:8], "little") :]


def in_csv(content, rng):
    """A word for a number, a column or row less, another number."""
    lines = content.decode().splitlines()
    row = rng.randrange(len(lines))
    cells = lines[row].split(",")
    cell = rng.randrange(len(cells))
    kind = rng.randrange(4)
    if kind == 0:
        cells[cell] = rng.choice(("nan", "x", "", "inf", "1e400", '"', "-1", "\u0663"))
    elif kind == 1:
        del cells[cell]
    elif kind == 2:
        cells[cell] = cells[cell][::-1]
    lines[row] = ",".join(cells)
    if kind == 3:
        del lines[row]
    return ("\n".join(lines) + "\n").encode()


def changed(value, rng):
    """``value`` with one of its parts, anywhere, of another type, odd, gone, renamed or twice."""
    value = copy.deepcopy(value)
    places = [(part, key) for part in walk(value) for key in (part if isinstance(part, dict) else range(len(part)))]
    if not places or rng.random() < 0.03:
        return rng.choice(ODD)
    holder, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.25:
        del holder[key]
    elif kind < 0.35 and isinstance(holder, dict):
        holder[rng.choice((key[::-1], f"{key}x", f"../{key}"))] = holder.pop(key)
    elif kind < 0.5 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] += rng.choice((-1, 1, 0.5, 1000))
    else:
        holder[key] = rng.choice(ODD)
    return value


def walk(value):
    """Every dict and list in ``value``, itself among them."""
    if isinstance(value, (dict, list)):
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from walk(part)
