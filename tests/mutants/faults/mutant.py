"""A fault, and the tests that have to notice it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """``name``, the ``fault`` in one sentence, what becomes what in which ``file``, and the ``tests`` that notice."""

    name: str
    fault: str
    file: str  # in sdbnn_lite/
    old: str
    new: str
    tests: tuple[str, ...]  # in tests/: files or node ids; few, so that a mutant takes seconds

    @property
    def compiled(self) -> bool:
        """Whether numba compiles the file: then nothing that was compiled before may be used."""
        return self.file.startswith(("fast/", "packed/"))
