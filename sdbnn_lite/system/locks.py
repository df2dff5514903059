"""A file that one process at a time can hold; a killed process's hold ends with it."""

import errno
import os
from contextlib import ExitStack
from pathlib import Path

from ..errors import UsageError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None


def hold(path: Path, held_means: str) -> ExitStack:
    """Hold the file ``path``, making it, until the result is closed; then it is gone. Not inherited by forked workers.

    Raises UsageError, saying ``held_means``, where another process holds it. Nothing is held where the system or the
    file system can't lock files.
    """
    while fcntl:
        held = ExitStack()
        try:
            file = held.enter_context(open(path, "w"))
        except OSError as error:
            raise UsageError(f"{path}: can't be opened ({error.strerror or error}); remove it") from error
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held.close()
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise UsageError(held_means) from error
            break
        try:
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                held.callback(path.unlink, missing_ok=True)
                return held
        except FileNotFoundError:
            pass
        held.close()  # its holder removed it between our opening and our locking: once more
    return ExitStack()
