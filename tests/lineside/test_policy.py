"""`lineside policy replay` over the history of a monitor that runs, and one that has ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from lineside.main import app
from monitor.store.rule_tables import EventRow, IncidentRow
from tests.simulators.monitored_plant import SITE, Plant


@dataclass
class Drifted:
    """A plant whose parts changed, seen from the command line."""

    plant: Plant
    folder: Path

    def replay(self, policy: str, *options: str) -> Result:
        config, changed = self.folder / "monitor.toml", self.folder / "changed.toml"
        config.write_text(
            f'state_folder = "{self.plant.settings.state_folder}"\nsites = ["{SITE}"]\n[rules]\n'
            "commissioning_windows = 30\ncommissioning_cycle_hours = 0\ncommissioning_most_windows = 20\n"
        )
        changed.write_text(policy)
        command = ["policy", "replay", "--config", str(config), "--policy", str(changed), *options]
        return CliRunner().invoke(app, command)


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drifted]:
    folder = tmp_path_factory.mktemp("drifted")
    plant = Plant.make(folder / "plant")
    plant.serve_first(folder)
    plant.minutes(35)
    plant.good_level = 150.0
    plant.minutes(7)
    with plant.works.store.read() as session:
        incident = session.scalars(select(IncidentRow)).one()
    plant.works.desk.person_said(incident.incident_id, said="adopt", who="engineer-2")
    yield Drifted(plant, folder)
    plant.close()


def test_the_present_policy_decides_what_was_decided(drifted: Drifted) -> None:
    told = json.loads(drifted.replay("[rules]\nwindows_over = 3\n", "--json").stdout)
    (site,) = told
    with drifted.plant.works.store.read() as session:
        opened = session.scalars(select(IncidentRow.opened_at)).one()
        drifts = session.scalars(select(EventRow).where(EventRow.code == "drift")).all()
    assert [row["at"] for row in site["now"] if row["what"] == "incident"] == [
        opened.isoformat().replace("+00:00", "Z")
    ]
    assert len([row for row in site["now"] if row["what"] == "drift"]) == len(drifts)
    assert [row["plain"] for row in site["now"] if row["what"] == "closed"] == [
        "engineer-2 adopted the present state as the new normal"
    ]
    assert site["differences"] == []


def test_a_changed_policy_shows_what_it_would_have_done(drifted: Drifted) -> None:
    shown = drifted.replay("[rules]\nwindows_over = 2\nwindows_looked_at = 2\n")
    assert shown.exit_code == 0, shown.output
    assert "changed: windows_over 3 → 2, windows_looked_at 3 → 2" in shown.output
    (line,) = [line for line in shown.output.splitlines() if line.startswith("incident")]
    assert line.count(":") == 2
    assert "Nothing has changed." in shown.output


def test_a_wrong_policy_is_one_clear_error(drifted: Drifted) -> None:
    for policy, words in (
        ("[rules]\nwindow_over = 2\n", "did you mean 'windows_over'?"),
        ("[rules]\nwindows_over = 0\n", "rules.windows_over"),
        ("[gate]\nmargin = 0.1\n", "put the keys to change under [rules]"),
        ("[gate]\nmargin = 0.1\n[rules]\nlevel = 0.02\n", "unknown key 'gate'"),
        ("rules = [", "is not valid TOML"),
    ):
        refused = drifted.replay(policy)
        assert refused.exit_code == 1, policy
        assert words in refused.stderr, (policy, refused.stderr)
        assert "changed.toml" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


def test_a_site_or_a_database_that_is_not_there_is_named(drifted: Drifted, tmp_path: Path) -> None:
    refused = drifted.replay("[rules]\nlevel = 0.02\n", "--site", "elsewhere")
    assert "has no site 'elsewhere'" in refused.stderr
    elsewhere = Drifted(Plant.make(tmp_path / "other"), tmp_path)
    elsewhere.plant.close()
    (elsewhere.plant.settings.state_folder / "monitor.db").unlink()
    assert "there is no monitor database at" in elsewhere.replay("[rules]\nlevel = 0.02\n").stderr


def test_the_history_of_a_monitor_that_has_ended_is_read_and_left_as_it_is(drifted: Drifted) -> None:
    drifted.plant.works.close()
    database = drifted.plant.settings.state_folder / "monitor.db"
    before = database.read_bytes()
    shown = drifted.replay("[rules]\nlevel = 0.02\n")
    assert shown.exit_code == 0, shown.output
    assert database.read_bytes() == before
