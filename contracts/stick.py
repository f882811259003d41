"""What a stick carries between a monitor and stations that share no network, and where on it.

lineside/SITE/repository/metadata/   signed, from the monitor; nothing on a stick is believed for lying there
lineside/SITE/repository/targets/
lineside/SITE/telemetry/AGENT/       *.jsonl, an `Envelope` a line, from the station
lineside/SITE/acks/AGENT.json        a list of `Ack`, from the monitor
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from contracts.errors import ConfigurationError
from contracts.names import Name
from contracts.telemetry import Ack

LARGEST_FILE_BYTES = 16 * 1024 * 1024
_ACKS = TypeAdapter(tuple[Ack, ...])
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True)
class Stick:
    """One site's folder on a stick that is mounted at `place`."""

    place: Path
    site: str

    @property
    def folder(self) -> Path:
        """All of the site."""
        return self.place / "lineside" / self.site

    @property
    def repository(self) -> Path:
        """The signed copy."""
        return self.folder / "repository"

    def telemetry(self, agent: str) -> Path:
        """Where that station's messages lie."""
        return self.folder / "telemetry" / agent

    def speakers(self) -> list[str]:
        """Stations with messages here."""
        folder = self.folder / "telemetry"
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [path.name for path in found if path.is_dir() and _is_name(path.name)]

    def messages(self, agent: str) -> Iterator[tuple[Path, list[str]]]:
        """File by file, the lines in it. Raises ConfigurationError naming a file that cannot be read."""
        for path in sorted(self.telemetry(agent).glob("*.jsonl")):
            yield path, _read(path).splitlines()

    def write_acks(self, agent: str, acks: tuple[Ack, ...]) -> None:
        """For the station to take back."""
        path = self.folder / "acks" / f"{agent}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_ACKS.dump_json(acks, indent=1))

    def acks(self, agent: str) -> tuple[Ack, ...]:
        """What the monitor has acknowledged; nothing where it has not been there yet. Raises ConfigurationError."""
        path = self.folder / "acks" / f"{agent}.json"
        if not path.exists():
            return ()
        try:
            return tuple(ack for ack in _ACKS.validate_json(_read(path)) if ack.agent == agent)
        except ValidationError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.errors()[0]['msg']}; import at the monitor again"
            ) from error


def _is_name(text: str) -> bool:
    try:
        _NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST_FILE_BYTES:
            raise ConfigurationError(f"{path} is a link or larger than {LARGEST_FILE_BYTES} bytes; not ours")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}; is the stick whole?") from error
