"""Makes `lineside.json`, the Grafana dashboard; `--check` compares only.

Every query is run by a test against a Prometheus that scraped a monitor and an agent, so a renamed metric is noticed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

FILE = Path(__file__).with_name("lineside.json")
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
SITE = 'site=~"$site"'
CAMERA = "{{agent}}/{{camera}} {{product}}"
Query = tuple[str, str]  # PromQL, legend


def dashboard() -> str:
    """The dashboard as JSON."""
    builder = (
        Dashboard("Lineside")
        .uid("lineside")
        .tags(["lineside"])
        .description("Cameras, drift, people and releases of all sites; made by deploy/grafana/make_dashboard.py.")
        .refresh("30s")
        .time("now-6h", "now")
        .with_variable(
            QueryVariable("site")
            .label("Site")
            .datasource(SOURCE)
            .query("label_values(lineside_monitor_agent_online, site)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .include_all(True)
            .multi(True)
        )
    )
    for row in (at_a_glance, cameras, people, rollout, delivery, station):
        builder = row(builder)
    return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(builder.build())), indent=1, sort_keys=True) + "\n"


def at_a_glance(builder: Dashboard) -> Dashboard:
    """Six numbers; red ones want somebody."""
    return (
        builder.with_row(Row("At a glance"))
        .with_panel(stat("Agents away", f"sum(1 - lineside_monitor_agent_online{{{SITE}}})", alarm=1))
        .with_panel(stat("Cameras faulty", f"sum(lineside_monitor_camera_fault{{{SITE}}})", alarm=1))
        .with_panel(
            stat(
                "Cameras not in control",
                f'sum(lineside_monitor_camera_state{{{SITE},state!~"LEARNING|OK|CLOSED"}})',
                alarm=1,
            )
        )
        .with_panel(
            stat("Open incidents", f'sum(lineside_monitor_incidents{{{SITE},state="open"}}) or vector(0)', alarm=1)
        )
        .with_panel(
            stat(
                "Images that wait for a label",
                f'sum(lineside_monitor_images_asked{{{SITE},state="queued"}}) or vector(0)',
            )
        )
        .with_panel(stat("Images a second", f"sum(rate(lineside_monitor_images_total{{{SITE}}}[$__rate_interval]))"))
    )


def cameras(builder: Dashboard) -> Dashboard:
    """What each camera sees and where it stands."""
    by_camera = "sum by (site, agent, camera, product)"
    decisions = f"lineside_monitor_decisions_total{{{SITE}"
    return (
        builder.with_row(Row("Cameras"))
        .with_panel(
            StateTimeline()
            .title("State")
            .description("The phase of every camera's state machine: LEARNING, OK, SUSPECT, DRIFT, SENSOR, LABELS, ...")
            .datasource(SOURCE)
            .span(24)
            .height(8)
            .show_value(VisibilityMode.NEVER)
            .row_height(0.8)
            .with_target(query(f"lineside_monitor_camera_state{{{SITE}}} == 1", CAMERA + " {{state}}", "A"))
        )
        .with_panel(
            lines(
                "Distance from the profile, 1 is the limit",
                [(f"lineside_monitor_drift_t2{{{SITE}}} / lineside_monitor_drift_limit{{{SITE}}}", CAMERA)],
                "Hotelling's T2 of the newest window over its limit; 3 of 3 windows above 1 are a drift.",
            )
        )
        .with_panel(
            lines(
                "Share of NG",
                [
                    (
                        f'{by_camera} (rate({decisions},decision="NG"}}[$__rate_interval])) / '
                        f"{by_camera} (rate({decisions}}}[$__rate_interval]))",
                        CAMERA,
                    )
                ],
                "Rejected parts among all.",
                unit="percentunit",
            )
        )
        .with_panel(
            lines(
                "Images",
                [(f"rate(lineside_monitor_images_total{{{SITE}}}[$__rate_interval])", CAMERA)],
                "Images in judged windows, per second.",
            )
        )
        .with_panel(
            lines(
                "Age of the newest window",
                [(f"time() - lineside_monitor_last_window_timestamp_seconds{{{SITE}}}", CAMERA)],
                "How long ago the newest window of each camera ended.",
                unit="s",
            )
        )
        .with_panel(
            lines("Windows judged", [(f"lineside_monitor_windows_total{{{SITE}}}", CAMERA)], "By the monitor, ever.")
        )
        .with_panel(
            lines(
                "Windows learned",
                [(f"lineside_monitor_windows_learned{{{SITE}}}", CAMERA)],
                "Commissioning: windows that the profile was learned from.",
            )
        )
    )


def people(builder: Dashboard) -> Dashboard:
    """What people are asked and what they answer."""
    return (
        builder.with_row(Row("People"))
        .with_panel(
            lines(
                "Incidents",
                [(f"sum by (state, diagnosis) (lineside_monitor_incidents{{{SITE}}})", "{{diagnosis}} {{state}}")],
                "Open ones want a person or the machine.",
            )
        )
        .with_panel(
            lines(
                "Labels",
                [(f"sum by (source, use) (lineside_monitor_labels_total{{{SITE}}})", "{{source}} for {{use}}")],
                "Given so far, by how the image was drawn and what it is used for.",
            )
        )
        .with_panel(
            lines(
                "Uploaded images",
                [(f"sum by (state) (lineside_monitor_images_asked{{{SITE}}})", "{{state}}")],
                "Waiting, labelled, expired.",
            )
        )
        .with_panel(
            lines(
                "Timeline",
                [(f"sum by (kind) (lineside_monitor_events_total{{{SITE}}})", "{{kind}}")],
                "Lines of the monitor's timeline by kind.",
            )
        )
    )


def rollout(builder: Dashboard) -> Dashboard:
    """Which model runs where, and what comes next."""
    return (
        builder.with_row(Row("Releases"))
        .with_panel(
            lines(
                "Release served",
                [
                    (f"lineside_monitor_agent_release{{{SITE}}}", "{{agent}}"),
                    (f"lineside_monitor_release_active{{{SITE}}}", "{{site}}: active"),
                    (f"lineside_monitor_release_shadow{{{SITE}}} or vector(0)", "{{site}}: shadow (0: none)"),
                ],
                "An agent below the active line has not followed yet.",
            )
        )
        .with_panel(
            lines(
                "Candidates",
                [(f"sum by (state) (lineside_monitor_candidates{{{SITE}}}) or vector(0)", "{{state}}")],
                "Submitted, shadowing, waiting for approval, promoted, refused, withdrawn.",
            )
        )
        .with_panel(
            lines(
                "Retrains",
                [(f"sum by (state) (lineside_monitor_retrains{{{SITE}}}) or vector(0)", "{{state}}")],
                "Orders to train a successor, by how far they are.",
            )
        )
        .with_panel(
            lines(
                "Orders",
                [(f"sum by (kind, state) (lineside_monitor_orders{{{SITE}}}) or vector(0)", "{{kind}} {{state}}")],
                "What the monitor asked of agents.",
            )
        )
    )


def delivery(builder: Dashboard) -> Dashboard:
    """Nothing lost, nothing twice: what came, what waits, what had to be dropped."""
    lost = [
        (f"sum by (agent) (lineside_monitor_agent_dropped_total{{{SITE}}})", "{{agent}}: outbox full"),
        (f"sum by (reason) (lineside_monitor_unreadable_total{{{SITE}}}) or vector(0)", "unreadable {{reason}}"),
        ("lineside_monitor_arrivals_dropped_total", "queue of the monitor full (sent again)"),
    ]
    return (
        builder.with_row(Row("Delivery"))
        .with_panel(
            lines(
                "Messages acknowledged",
                [(f"rate(lineside_monitor_acknowledged_total{{{SITE}}}[$__rate_interval])", "{{agent}}")],
                "Per second, after the monitor's own commit.",
            )
        )
        .with_panel(
            lines(
                "Not worked through", [(f"lineside_monitor_backlog{{{SITE}}}", "{{agent}}")], "Committed, not judged."
            )
        )
        .with_panel(lines("Dropped or unreadable", lost, "Should stay flat."))
        .with_panel(
            lines(
                "Silence",
                [(f"lineside_monitor_agent_silent_seconds{{{SITE}}}", "{{agent}}")],
                "Time since an agent's last message.",
                unit="s",
            )
        )
        .with_panel(lines("Messages kept", [("lineside_monitor_messages_kept", "{{kind}}")], "In the monitor's store."))
    )


def station(builder: Dashboard) -> Dashboard:
    """Agents that Prometheus can reach itself."""
    return (
        builder.with_row(Row("Stations that can be reached"))
        .with_panel(
            lines(
                "Time for one image",
                [
                    (
                        quantile(share, "lineside_agent_inspection_seconds", "instance, camera"),
                        "{{instance}}/{{camera}} " + name,
                    )
                    for share, name in (("0.5", "median"), ("0.99", "99 %"))
                ],
                "From encoded image to verdict.",
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Time for one commit",
                [(quantile("0.99", "lineside_agent_commit_seconds", "instance"), "{{instance}}")],
                "99 % of commits to disk are faster.",
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Images by decision",
                [
                    (
                        "sum by (instance, decision) (rate(lineside_agent_images_total[$__rate_interval]))",
                        "{{instance}} {{decision}}",
                    ),
                    (
                        "sum by (instance) (rate(lineside_agent_refused_images_total[$__rate_interval]))",
                        "{{instance}} refused",
                    ),
                ],
                "Per second.",
            )
        )
        .with_panel(
            lines(
                "Waiting for the monitor",
                [("lineside_agent_outbox_messages", "{{instance}}")],
                "Messages in the outbox that were not acknowledged.",
            )
        )
        .with_panel(
            lines(
                "Disk",
                [
                    ("lineside_agent_outbox_bytes", "{{instance}} outbox"),
                    ("lineside_agent_buffer_bytes", "{{instance}} images"),
                ],
                "What the agent keeps.",
                unit="bytes",
            )
        )
        .with_panel(
            lines(
                "Outputs",
                [
                    ("lineside_agent_output_failing", "{{instance}}/{{output}} fails"),
                    ("lineside_agent_output_waiting", "{{instance}}/{{output}} waiting"),
                ],
                "1 while an output cannot deliver, and how many answers wait for it.",
            )
        )
        .with_panel(
            lines(
                "Cameras opened again",
                [("increase(lineside_agent_camera_restarts_total[1h])", "{{instance}}/{{camera}}")],
                "How often in the last hour a camera failed, hung or fell silent.",
            )
        )
        .with_panel(
            lines(
                "Connected to the broker",
                [("lineside_agent_broker_connected", "{{instance}}")],
                "1 while connected.",
            )
        )
    )


def quantile(share: str, metric: str, by: str) -> str:
    """PromQL of a quantile of a histogram."""
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket[$__rate_interval])))"


def query(expression: str, legend: str, letter: str) -> Dataquery:
    """One PromQL query of a panel."""
    return Dataquery().expr(expression).legend_format(legend).ref_id(letter).range()


def lines(title: str, queries: Sequence[Query], description: str, *, unit: str = "short") -> TimeSeries:
    """Curves over time."""
    panel = (
        TimeSeries()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(8)
        .height(7)
        .legend(
            VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
        )
    )
    for number, (expression, legend) in enumerate(queries):
        panel = panel.with_target(query(expression, legend, chr(ord("A") + number)))
    return panel


def stat(title: str, expression: str, *, alarm: float | None = None) -> Stat:
    """One number; red from `alarm` on."""
    steps = [Threshold(value=None, color="green")]
    if alarm is not None:
        steps.append(Threshold(value=alarm, color="red"))
    return (
        Stat()
        .title(title)
        .datasource(SOURCE)
        .unit("short")
        .span(4)
        .height(4)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.AREA)
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(query(expression, "", "A"))
    )


def main(arguments: Sequence[str]) -> int:
    """Write, or with `--check` say whether the file is current."""
    text = dashboard()
    if "--check" in arguments:
        current = FILE.exists() and FILE.read_text(encoding="utf-8") == text
        if not current:
            print("deploy/grafana/lineside.json is out of date; run: make dashboard")
        return 0 if current else 1
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
