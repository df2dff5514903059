"""State dicts in torch's own format (a pickle), read so that nothing in the file can run."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UsageError
from .files import check_finite


def is_torch_file(weights: str | Path) -> bool:
    """Whether ``weights`` names a file in torch's format, rather than one of ours."""
    return Path(weights).suffix in (".pth", ".pt")


def read_state_dict(path: str | Path, source: object = None) -> dict[str, Tensor]:
    """The state dict in a file of ``torch.save``: bare, or under "state_dict" or "model", as trainers write it.

    Read with ``weights_only=True``: a file with code in it is refused, and none of it runs. Raises UsageError, naming
    ``source`` (the path by default), for a file that is missing, damaged, refused, or holds anything else: numbers that
    aren't finite, and tensors larger than the file.
    """
    path, source = Path(path), source or path
    if not path.is_file():
        raise UsageError(f"{source}: no such file")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                if sum(part.file_size for part in file.infolist()) > path.stat().st_size or file.testzip():
                    raise ValueError("it is damaged, or unpacks to more than its own size")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - pickle, zip and torch raise many kinds for damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{source}: not a checkpoint that can be read safely (weights_only): {reason}") from error
    if isinstance(content, Mapping):
        content = next((content[key] for key in ("state_dict", "model") if key in content), content)
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise UsageError(f"{source}: holds no state dict, names and tensors; a file written by a trainer is needed")
    for name, tensor in content.items():
        whole = tensor.layout is torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
        if not whole or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise UsageError(f"{source}: {name} isn't a plain tensor, all of whose numbers are in the file")
    check_finite(dict(content), source)
    return dict(content)
