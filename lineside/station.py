"""What people ask of a station by command."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast, get_args

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.markup import escape

from contracts.errors import ConfigurationError, LinesideError
from contracts.finding import Level, worst
from contracts.settings import read_settings
from edge_agent.web.clients import Right, new_key
from lineside.findings import show

if TYPE_CHECKING:
    from edge_agent.settings import AgentSettings


def run_agent_doctor(config: Path, *, unit: str, as_json: bool) -> int:
    """`lineside agent doctor`; returns the exit status: 0 ok, 1 warning, 2 fault."""
    from edge_agent.doctor.examination import examine

    return list(Level).index(worst(show(examine(config, unit_name=unit), as_json=as_json)))


def run_agent_key(name: str, may: Iterable[str]) -> None:
    """`lineside agent key`."""
    try:
        made = new_key(name, may)
    except ValidationError as error:
        if error.errors()[0]["loc"][0] == "name":
            raise ConfigurationError(f"a client cannot be called {name!r}; use 1 to 64 of a-z 0-9 -") from error
        raise ConfigurationError(f"a client may {', '.join(get_args(Right))}; not {', '.join(may)}") from error
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"the key of {name}, shown this once; the program sends it as `Authorization: Bearer KEY`:\n")
    console.print(f"    {made.key}\n")
    console.print("for the agent's settings; it counts once the agent is started again:\n")
    console.print(made.toml, end="")


def run_records_export(
    out: Path,
    config: Path,
    *,
    since: datetime | None,
    until: datetime | None,
    words: Mapping[str, str | None],
    file_format: str,
) -> None:
    """`lineside agent records export`. Raises LinesideError where the file cannot be written."""
    from edge_agent.parquet import load_pyarrow, write_parquet
    from edge_agent.settings import AgentSettings

    settings = read_settings(config, AgentSettings)
    moments = {"since": since, "until": until}
    query = {name: value.astimezone().isoformat() for name, value in moments.items() if value is not None}
    query |= {name: value for name, value in words.items() if value is not None}
    if file_format == "parquet":
        load_pyarrow()
    draft = out.with_name(f".{out.name}.partial")
    try:
        lines = _csv_lines(settings, query, for_spreadsheets=file_format == "csv")
        count = write_parquet(lines, draft) if file_format == "parquet" else _write_csv(lines, draft)
        draft.replace(out)
    except OSError as error:
        raise LinesideError(f"cannot write {out}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    Console(highlight=False, soft_wrap=True).print(f"[green]✓[/] {count} verdicts in {escape(str(out))}")


def _csv_lines(settings: AgentSettings, query: Mapping[str, str], *, for_spreadsheets: bool) -> Iterator[str]:
    """From the running agent, or from its database while none runs."""
    from edge_agent.claim import claim
    from edge_agent.extract import Extract, csv_lines
    from edge_agent.neighbour import Neighbour, refusal
    from edge_agent.store import Store

    agent, database = Neighbour(settings), settings.state_folder / "agent.sqlite"
    if agent.runs:
        told = agent.ask(
            "GET", "/v1/verdicts.csv", query={**query, "as_recorded": str(not for_spreadsheets)}, preload=False
        )
        if told.status != 200:
            raise LinesideError(f"the agent refuses: {refusal(told)}")
        yield from io.TextIOWrapper(cast(IO[bytes], told), encoding="utf-8", newline="")
        return
    if not database.exists():
        raise ConfigurationError(f"there is no record at {database}; is state_folder the agent's?")
    with claim(settings.state_folder), closing(Store(database)) as store:
        extract = TypeAdapter(Extract).validate_python(dict(query))
        yield from csv_lines(store, extract, for_spreadsheets=for_spreadsheets)


def _write_csv(lines: Iterable[str], path: Path) -> int:
    """How many rows; the header is none."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1
