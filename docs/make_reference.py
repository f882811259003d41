"""Makes `docs/commands.md` and `docs/settings.md` from the commands and the settings; `--check` compares only."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from contracts.settings import Settings  # noqa: E402
from edge_agent.settings import AgentSettings  # noqa: E402
from exporter.settings import ExportSettings  # noqa: E402
from lineside.broker import BrokerSettings  # noqa: E402
from lineside.main import app  # noqa: E402
from lineside.train_file import TrainFile  # noqa: E402
from monitor.settings import MonitorSettings  # noqa: E402
from trainer.bases.catalogue import CatalogueFile  # noqa: E402

MADE = "<!-- Made by docs/make_reference.py: change the code, then run `make reference`. -->\n"
FILES: dict[str, tuple[str, type[Settings]]] = {
    "agent.toml": ("`lineside agent --config agent.toml`", AgentSettings),
    "monitor.toml": ("`lineside monitor run --config monitor.toml`", MonitorSettings),
    "train.toml": (
        "`lineside train DATA --config train.toml`; `[training]` may also stand in the file of `lineside retrain`",
        TrainFile,
    ),
    "export.toml": ("`lineside export RUN --config export.toml`, and by `lineside retrain`", ExportSettings),
    "catalogue.toml": ("base models of a trainer's workspace, see `lineside models`", CatalogueFile),
    "broker.toml": ("`lineside broker --config broker.toml --folder FOLDER` (one machine)", BrokerSettings),
}


def commands_page() -> str:
    """Every command with its arguments and options."""
    lines = [MADE, "# Commands", ""]
    for path, command in walk(typer.main.get_command(app), ("lineside",)):
        lines += [f"## {' '.join(path)}", "", plain(command.help or ""), ""]
        rows = [parameter_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        if rows:
            lines += ["| argument or option | default | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands that do something, below a group, with their words."""
    inner = getattr(command, "commands", None)
    if inner is None or command.invoke_without_command:
        yield path, command
    if inner is None:
        return
    for name, one in inner.items():
        if not one.hidden:
            yield from walk(one, (*path, name))


def parameter_row(parameter: Any) -> str:
    """`| --seed | 1 | ... |`."""
    required = parameter.required
    named = parameter.param_type_name == "option"
    name = " ".join([*parameter.opts, *parameter.secondary_opts]) if named else str(parameter.name).upper()
    default = "required" if required else shown(parameter.default)
    return row(f"`{name}`", default, plain(getattr(parameter, "help", None) or ""))


def settings_page() -> str:
    """Every key of every configuration file."""
    lines = [
        MADE,
        "# Settings",
        "",
        "Configuration files are TOML, read once at the start. A key that is not listed here is an error.",
        "",
    ]
    for file, (command, model) in FILES.items():
        lines += [f"## {file}", "", f"Read by {command}. {plain(model.__doc__ or '')}", ""]
        for table, title, inner in tables(model):
            if title:
                lines += [f"### {title}", "", plain(inner.__doc__ or ""), ""]
            lines += ["| key | default | meaning |", "|---|---|---|"]
            lines += [row(f"`{table}{name}`", default_of(field), meaning_of(field)) for name, field in values(inner)]
            lines += [""]
    return "\n".join(lines)


def tables(model: type[BaseModel], path: str = "", title: str = "") -> Iterator[tuple[str, str, type[BaseModel]]]:
    """(`broker.`, `[broker]`, model) of the model and every table in it."""
    yield path, title, model
    for name, field in model.model_fields.items():
        inner, many = table_of(field.annotation)
        if inner is not None:
            heading = f"{path}{name}"
            yield from tables(inner, f"{heading}.", f"[[{heading}]]" if many else f"[{heading}]")


def values(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Keys that hold a value and no table."""
    for name, field in model.model_fields.items():
        if table_of(field.annotation)[0] is None:
            yield name, field


def table_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model inside `Model`, `Model | None` or `tuple[Model, ...]`, and whether there may be many."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in get_args(annotation):
        model, _ = table_of(inner)
        if model is not None:
            return model, get_origin(annotation) not in (Union, types.UnionType)
    return None, False


def default_of(field: FieldInfo) -> str:
    """The default as it would be written."""
    if field.is_required():
        return "required"
    return shown(field.get_default(call_default_factory=True) if field.default_factory is None else None)


def meaning_of(field: FieldInfo) -> str:
    """Description and limits."""
    limits = [
        f"{sign} {getattr(limit, key):g}" for limit in field.metadata for key, sign in _SIGNS if hasattr(limit, key)
    ]
    choices = get_args(field.annotation) if str(field.annotation).startswith("typing.Literal") else ()
    parts = [field.description or "", " or ".join(f"`{choice}`" for choice in choices), ", ".join(limits)]
    return "; ".join(part for part in parts if part)


_SIGNS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def shown(value: Any) -> str:
    """A default for people."""
    if value is None or value is PydanticUndefined or value in ("", (), {}, []):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def plain(text: str) -> str:
    """One paragraph."""
    return " ".join(text.split())


def main(arguments: list[str]) -> int:
    pages = {"commands.md": commands_page(), "settings.md": settings_page()}
    stale = [name for name, text in pages.items() if not (DOCS / name).exists() or (DOCS / name).read_text() != text]
    if "--check" in arguments:
        if stale:
            print(f"out of date: docs/{', docs/'.join(stale)}; run: make reference")
        return 1 if stale else 0
    for name, text in pages.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
