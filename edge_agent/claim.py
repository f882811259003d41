"""One agent for one state folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from contracts.errors import ConfigurationError

_FILE = "lock"


def claim(folder: Path) -> IO[str]:
    """Hold the folder until the file is closed. Raises ConfigurationError where another agent runs."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / _FILE).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigurationError(f"another agent is using {folder}; stop it or choose another state_folder") from error
    return file


def is_claimed(folder: Path) -> bool:
    """Whether an agent runs there now. Changes nothing on the disk."""
    try:
        with (folder / _FILE).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
