"""Outcomes and the record over HTTP: what people say joins the verdict and goes to the monitor, once."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from contracts.frame import Decision, Verdict
from contracts.telemetry import Event, EventKind, OutcomeReport
from edge_agent.agent import Agent
from edge_agent.outcomes import confirmed_label
from edge_agent.settings import BufferSettings
from tests.edge_agent.conftest import MakeAgent
from tests.edge_agent.test_web_inspect import ask, inspect
from tests.simulators.captures import frame
from tests.simulators.small_bundle import encoded, picture

JSON = {"Content-Type": "application/json"}


def say(agent: Agent, **values: Any) -> tuple[int, Any]:
    status, told, _ = ask(agent, "POST", "/v1/outcomes", json.dumps(values), JSON)
    return status, told


def reports(agent: Agent) -> list[OutcomeReport]:
    messages = agent.core.outbox.waiting(after=0, limit=1000)
    bodies = [message.envelope.body for message in messages]
    return [
        OutcomeReport.model_validate(body.details)
        for body in bodies
        if isinstance(body, Event) and body.event is EventKind.OUTCOME
    ]


@pytest.fixture
def agent(make_agent: MakeAgent) -> Agent:
    """With a defect p-ng, a good part p-ok and a part in between, p-review, on record."""
    agent = make_agent()
    for part_id, level in (("p-ng", 180), ("p-ok", 80), ("p-review", 128)):
        inspect(agent, encoded(picture(level)), f"?part_id={part_id}")
    return agent


def test_a_wrong_verdict_is_recorded_and_reported_with_what_was_decided(agent: Agent) -> None:
    assert say(agent, part_id="p-ng", label="good", rater="r-7")[0] == 201
    (report,) = reports(agent)
    assert (report.outcome.label, report.outcome.source, report.outcome.rater) == ("good", "operator", "r-7")
    assert (report.decision, report.label, report.bundle_hash) == (
        Decision.NG, "scratch", agent.core.station.active and agent.core.station.active.bundle.hash
    )  # fmt: skip
    entry = agent.core.record.latest_of("p-ng")
    assert entry is not None
    assert entry.outcome == report.outcome


def test_right_stands_for_the_class_that_was_answered(agent: Agent) -> None:
    assert say(agent, part_id="p-ng", right=True)[1]["label"] == "scratch"
    assert say(agent, part_id="p-ok", right=True)[1]["label"] == "good"


def test_a_part_to_be_checked_cannot_be_right(agent: Agent) -> None:
    assert say(agent, part_id="p-review", right=True)[0] == 422
    assert say(agent, part_id="p-review", label="scratch")[0] == 201


def test_saying_it_twice_reports_it_once(agent: Agent) -> None:
    for _ in range(3):
        assert say(agent, part_id="p-ng", label="good")[0] == 201
    assert len(reports(agent)) == 1


def test_changing_ones_mind_is_reported(agent: Agent) -> None:
    say(agent, part_id="p-ng", label="good")
    say(agent, part_id="p-ng", label="scratch")
    assert [report.outcome.label for report in reports(agent)] == ["good", "scratch"]


def test_an_end_of_line_test_says_where_its_outcome_comes_from(agent: Agent) -> None:
    say(agent, part_id="p-ok", label="scratch", source="end-of-line")
    assert [report.outcome.source for report in reports(agent)] == ["end-of-line"]


@pytest.mark.parametrize(
    ("values", "status", "error"),
    [
        ({"part_id": "p-99", "label": "good"}, 404, "no verdict on part 'p-99'"),
        ({"part_id": "p-ng", "camera": "cam-9", "label": "good"}, 404, "of camera 'cam-9'"),
        ({"part_id": "p-ng", "label": "scrach"}, 422, "no class is called 'scrach'"),
        ({"part_id": "p-ng"}, 422, "either right or label"),
        ({"part_id": "p-ng", "right": True, "label": "good"}, 422, "either right or label"),
        ({"part_id": "p ng", "label": "good"}, 422, "part_id"),
        ({"part_id": "p-ng", "lable": "good"}, 422, "lable"),
        ({"part_id": "p-ng", "label": "good", "rater": "Jane Doe"}, 422, "rater"),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_the_reason(
    agent: Agent, values: dict[str, Any], status: int, error: str
) -> None:
    found, told = say(agent, **values)
    assert (found, error in told["error"]) == (status, True), told
    assert told["remedy"]
    assert reports(agent) == []


def test_a_misspelt_class_is_answered_with_the_near_one(agent: Agent) -> None:
    assert "did you mean 'scratch'?" in say(agent, part_id="p-ng", label="scrach")[1]["remedy"]


def test_a_class_that_no_model_knows_can_be_named(agent: Agent) -> None:
    assert say(agent, part_id="p-ng", label="dent", new=True)[0] == 201


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [("{", "application/json", 400), ("[]", "application/json", 422), ("a=1", "text/plain", 415),
     ("[" * 9000, "application/json", 400), ('"' + "x" * 20_000 + '"', "application/json", 413)],
)  # fmt: skip
def test_a_body_that_is_no_outcome_is_refused(agent: Agent, body: str, kind: str, status: int) -> None:
    assert ask(agent, "POST", "/v1/outcomes", body, {"Content-Type": kind})[0] == status


def test_the_record_comes_in_pages(agent: Agent) -> None:
    first = ask(agent, "GET", "/v1/verdicts?limit=2")[1]
    second = ask(agent, "GET", f"/v1/verdicts?limit=2&before={first['next']}")[1]
    shown = [item["verdict"]["frame"]["part_id"] for item in (*first["verdicts"], *second["verdicts"])]
    assert shown == ["p-review", "p-ok", "p-ng"]
    assert second["next"] is None


def test_the_record_as_csv_holds_outcomes(agent: Agent) -> None:
    say(agent, part_id="p-ng", label="good")
    status, text, headers = ask(agent, "GET", "/v1/verdicts.csv")
    rows = {row["part_id"]: row for row in csv.DictReader(text.splitlines())}
    assert status == 200
    assert headers.get_content_type() == "text/csv"
    assert rows["p-ng"]["outcome"] == "good"
    assert rows["p-ok"]["outcome"] == ""


@pytest.mark.parametrize(
    ("decision", "scores", "label"),
    [
        (Decision.OK, {"good": 0.8, "a": 0.2}, "good"),
        (Decision.NG, {"good": 0.5, "a": 0.2, "b": 0.3}, "b"),  # a low threshold: the likeliest class was good
        (Decision.OK, {"good": 0.4, "a": 0.6}, "good"),  # a high threshold
        (Decision.REVIEW, {"good": 0.5, "a": 0.5}, None),
        (Decision.NO_VERDICT, {}, None),
    ],
)
def test_the_class_that_right_stands_for_lies_on_the_side_of_the_verdict(
    decision: Decision, scores: dict[str, float], label: str | None
) -> None:
    verdict = Verdict(frame=frame(0), decision=decision, scores=scores)
    assert confirmed_label(verdict, ["good"]) == label


def test_the_image_of_a_contradicted_verdict_is_kept_for_labelling(make_agent: MakeAgent) -> None:
    agent = make_agent(buffer=BufferSettings(random_fraction=0.0))
    for part_id, level in (("p-ng", 180), ("p-right", 180), ("p-ok", 80), ("p-review", 128)):
        inspect(agent, encoded(picture(level)), f"?part_id={part_id}")
    assert agent.core.buffer.size()[0] == 0
    for values in (
        {"part_id": "p-ng", "label": "good"},
        {"part_id": "p-right", "right": True},
        {"part_id": "p-ok", "label": "dent", "new": True},
        {"part_id": "p-review", "label": "good"},  # no verdict that it could contradict
    ):
        assert say(agent, **values)[0] == 201
    kept = agent.core.store.rows("SELECT part_id, reason, drawn FROM images ORDER BY id")
    assert [tuple(row) for row in kept] == [("p-ng", "overruled", 0), ("p-ok", "overruled", 0)]
