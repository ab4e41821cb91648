"""Files as they may be read: regular ones, and no more than a bound; nothing that blocks or has no end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_bounded(path: Path, largest: int) -> bytes:
    """The content of a regular file; OSError with a `strerror` for people when it is none, too large or out of reach.

    Opening does not wait: a named pipe would, until somebody writes to it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"it is larger than {largest >> 10} KiB")
    return content
