"""The commands of `lineside labels`; what they do is in `lineside.labels`, which is imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lineside.commands.options import MonitorUrl, Token
from lineside.group import carry_out

labels_app = typer.Typer(
    help="Labels that people give: out to Label Studio and back, and how far they agree.", no_args_is_help=True
)
Site = Annotated[str | None, typer.Option(help="Only this site; default: all.")]
Format = Annotated[Literal["label-studio"], typer.Option("--format", help="Label Studio's JSON.")]


@labels_app.command("export")
def labels_export(
    out: Annotated[Path, typer.Argument(help="A new folder for tasks.json, config.xml and the pictures.")],
    file_format: Format = "label-studio",
    site: Site = None,
    labelled: Annotated[
        bool, typer.Option("--labelled", help="The pictures that have their label, with it, instead of the queue.")
    ] = False,
    images_at: Annotated[
        str, typer.Option(help="What the tasks say before a picture's name: where Label Studio finds the folder.")
    ] = "/data/local-files/?d=images/",
    monitor: MonitorUrl = "http://127.0.0.1:8500",
    token: Token = None,
) -> None:
    """The pictures that wait for a label, for people who label elsewhere. Without what the model said."""
    from lineside.labels import run_labels_export
    from lineside.monitor_door import MonitorDoor

    carry_out(run_labels_export, out, MonitorDoor(monitor, token), site=site, labelled=labelled, images_at=images_at)


@labels_app.command("import")
def labels_import(
    file: Annotated[Path, typer.Argument(help="What Label Studio exported as JSON.")],
    file_format: Format = "label-studio",
    person: Annotated[
        list[str] | None,
        typer.Option(help="Who somebody there is here: 7=ann or a@b.example=ann; may be given more than once."),
    ] = None,
    new_class: Annotated[
        list[str] | None, typer.Option(help="A class that is meant, although nobody here has named it before.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who brings the file; stands on the timeline.")] = "operator",
    monitor: MonitorUrl = "http://127.0.0.1:8500",
    token: Token = None,
) -> None:
    """Answers from Label Studio, by the rules of the page: all of the file or, where it is wrong, nothing."""
    from lineside.labels import run_labels_import
    from lineside.monitor_door import MonitorDoor

    carry_out(
        run_labels_import, file, MonitorDoor(monitor, token), people=person or (), new_classes=new_class or (), by=by
    )


@labels_app.command("agreement")
def labels_agreement(
    site: Site = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    monitor: MonitorUrl = "http://127.0.0.1:8500",
    token: Token = None,
) -> None:
    """How far people agree, with an interval, and the minutes that labels cost. Nobody is listed or ranked."""
    from lineside.labels import run_labels_agreement
    from lineside.monitor_door import MonitorDoor

    carry_out(run_labels_agreement, MonitorDoor(monitor, token), site=site, as_json=as_json)
