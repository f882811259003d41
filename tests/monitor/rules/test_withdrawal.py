"""When a served release is withdrawn, and when an incident opens instead."""

from datetime import timedelta

import numpy as np

from contracts.frame import Decision, OutcomeSource
from monitor.rules.action import Kind, OpenIncident, Phase, Withdraw
from monitor.rules.evidence import harms
from monitor.rules.happening import LabelSeen
from monitor.rules.settings import RuleSettings
from monitor.rules.withdrawal import Watch, inspected, labelled, proven, watch_of
from tests.simulators.planted_model import START, A, B, PlantedModel, bundle_hash, facts

AUDIT, OPERATOR = OutcomeSource.AUDIT, OutcomeSource.OPERATOR


def young(release: int = 2) -> PlantedModel:
    """Release 2 was served a moment ago, after release 1."""
    model = PlantedModel()
    model.learn()
    model.serve(release)
    model.windows(5)
    return model


def overruled(model: PlantedModel, count: int) -> None:
    """Operators overrule verdicts on parts of now."""
    for i in range(count):
        model.happen(
            LabelSeen(
                at=model.now,
                camera=A,
                part_id=f"overruled-{i}",
                label="pit",
                source=OPERATOR,
                decision=Decision.OK,
                bundle_hash=bundle_hash(model.served),
                triggered_at=model.now,
            )
        )


def test_audit_labels_withdraw_a_young_release_to_its_predecessor_once() -> None:
    model = young()
    model.labels(150, A, error=0.6, source=AUDIT)
    (withdraw,) = model.all_of(Withdraw)
    assert (withdraw.bundle_hash, withdraw.to) == (bundle_hash(2), bundle_hash(1))
    assert withdraw.reason.plain


def test_after_a_withdrawal_the_old_profile_holds_and_nothing_is_held_against_the_old_release() -> None:
    model = young()
    model.labels(150, A, error=0.6, source=AUDIT)
    model.serve(1)
    assert model.phase() is Phase.OK
    model.windows(20)
    assert len(model.all_of(Withdraw)) == 1
    assert not model.all_of(OpenIncident)


def test_a_good_young_release_stays() -> None:
    model = young()
    model.labels(400, A, error=0.05, source=AUDIT)
    assert not model.all_of(Withdraw)


def test_overrides_alone_withdraw_once_their_windows_have_come() -> None:
    model = young()
    overruled(model, 300)
    assert not model.all_of(Withdraw)
    model.windows(1)
    assert model.all_of(Withdraw)[0].reason.code == "harm-overrides"


def test_a_few_overrides_in_the_minutes_before_their_window_prove_nothing() -> None:
    """Twelve in a row look like an error of 100 % until the 100 parts of their window are counted too."""
    model = young()
    overruled(model, 12)
    model.windows(2)
    assert not model.all_of(Withdraw)


def test_overrides_of_parts_that_no_window_has_counted_yet_wait_although_older_windows_come() -> None:
    """After an outage the windows come late and in order, and operators have long clicked."""
    model = young()
    now = model.now
    model.now += timedelta(hours=2)
    overruled(model, 700)
    model.now = now
    model.windows(5)
    assert not model.all_of(Withdraw)
    model.now = now + timedelta(hours=2)
    model.windows(1)
    assert model.all_of(Withdraw)


def test_a_dirty_lens_in_between_does_not_forget_what_audits_found() -> None:
    model = young()
    model.windows(model.settings.commissioning_windows)
    model.labels(20, B, error=0.7, source=AUDIT)
    before = model.state.watch
    assert before is not None
    model.windows(5, {A: "image"})
    model.say("repaired")
    model.windows(4)
    assert model.state.incident is None
    assert model.state.watch is not None
    assert model.state.watch.evidence == before.evidence


def test_overrides_at_the_tolerated_rate_withdraw_nothing_over_many_windows() -> None:
    model = young()
    for _ in range(50):
        overruled(model, 10)
        model.windows(1)
    assert not model.all_of(Withdraw)


def test_the_first_release_has_nothing_to_go_back_to_and_opens_an_incident() -> None:
    model = PlantedModel()
    model.learn()
    model.labels(60, A, error=0.6, source=AUDIT)
    assert not model.all_of(Withdraw)
    assert model.all_of(OpenIncident)[0].diagnosis is Kind.LABELS
    assert model.phase() is model.phase(B) is Phase.HARMFUL


def test_an_old_release_is_not_to_blame_and_harm_found_by_audit_leads_to_a_retrain() -> None:
    model = young()
    model.windows(model.settings.commissioning_windows)
    model.now += timedelta(days=8)
    model.labels(60, A, error=0.6, source=AUDIT)
    assert not model.all_of(Withdraw)
    model.labels(150, B, error=0.6)
    assert model.phase() is Phase.RETRAIN


def test_small_new_classes_that_no_camera_sees_are_found_by_audit() -> None:
    model = young()
    model.windows(model.settings.commissioning_windows)
    model.now += timedelta(days=8)
    model.labels(5, A, label="crack", source=AUDIT)
    assert model.phase() is Phase.HARMFUL


def test_labels_of_another_release_are_not_held_against_this_one() -> None:
    model = young()
    model.served = 1
    model.labels(100, A, error=0.9, source=AUDIT)
    assert not model.all_of(Withdraw)


def test_while_the_product_drifts_the_release_is_not_blamed() -> None:
    model = young()
    model.windows(model.settings.commissioning_windows)
    model.windows(6, {A: "embedding", B: "embedding"})
    model.labels(150, A, error=0.6, source=AUDIT)
    assert not model.all_of(Withdraw)
    assert model.phase() is Phase.HARMFUL


def test_a_release_on_probation_is_withdrawn_on_less_proof_than_an_incident_needs() -> None:
    early, late = young(), young()
    late.wait(24 * 8)
    for model in (early, late):
        while not model.all_of(Withdraw) and not model.all_of(OpenIncident):
            model.labels(1, A, error=0.6, source=AUDIT)
    labels = [model.state.watch.evidence.random if model.state.watch else 0 for model in (early, late)]
    assert early.all_of(Withdraw)
    assert late.all_of(OpenIncident)
    assert labels[0] < labels[1]


def test_what_operators_invent_is_a_share_of_what_they_say() -> None:
    """Clicks on one part in twenty are more than 2 % of errors can explain; clicks on one in fifty are not."""
    found = {}
    for clicks in (2, 5):
        model = PlantedModel((A,))
        model.learn()
        model.serve(2, escapes_tolerated=0.02, false_rejects_tolerated=0.02)
        for _ in range(30):
            overruled(model, clicks)
            model.windows(1)
        found[clicks] = model.all_of(Withdraw)
    assert not found[2]
    assert found[5][0].reason.code == "harm-overrides"


SETTINGS = RuleSettings()
RELEASE = facts(2, START, escapes_tolerated=0.06, false_rejects_tolerated=0.06)


def said(defect: bool, wrong: bool, source: OutcomeSource = AUDIT) -> LabelSeen:
    return LabelSeen(
        at=START,
        camera=A,
        part_id="part",
        label="pit" if defect else "good",
        source=source,
        decision=Decision.NG if defect != wrong else Decision.OK,
        bundle_hash=bundle_hash(2),
        triggered_at=START,
    )


def test_releases_that_err_as_often_as_tolerated_are_withdrawn_in_one_case_of_twenty_at_most() -> None:
    """The worst that is still promised: both sides at their tolerated error, labels wrong as often as they may be, all
    errors that operators may report or invent reported. 100 releases, 120 labels and windows of 60 parts; of a chance
    of 5 % 12 come with probability 0.004."""
    rng, withdrawn = np.random.default_rng(11), 0
    invented = watch_of(RELEASE, SETTINGS).overrides.tolerated
    for _ in range(100):
        watch = watch_of(RELEASE, SETTINGS)
        for number, chance in enumerate(rng.random((120, 3))):
            defect, wrong, misread = (bool(hit) for hit in chance < (0.3, 0.06, SETTINGS.label_noise))
            watch = labelled(watch, said(defect != misread, wrong != misread), RELEASE, SETTINGS)
            if number % 6 == 0:
                for _ in range(rng.binomial(60, invented)):
                    watch = labelled(watch, said(True, True, OPERATOR), RELEASE, SETTINGS)
                watch = inspected(watch, A, 60, START)
            if proven(watch, SETTINGS, young=True):
                withdrawn += 1
                break
    assert withdrawn < 12


def test_overrides_that_tell_the_labels_to_come_withdraw_no_more_than_nine_in_a_hundred() -> None:
    """Every wrong verdict is overridden before the audit's label comes, and as many right ones as may be. 60 releases,
    20 windows of 60 parts of which 6 are labelled; of a chance of 9 % 12 come with probability 0.009."""
    rng, withdrawn = np.random.default_rng(5), 0
    invented = (watch_of(RELEASE, SETTINGS).overrides.tolerated - 0.06) / 0.94
    for _ in range(60):
        watch, proof = watch_of(RELEASE, SETTINGS), False
        for _ in range(20):
            defect, wrong, misread, made_up = rng.random((4, 60)) < np.array(
                [[0.3], [0.06], [SETTINGS.label_noise], [invented]]
            )
            for _ in range(np.count_nonzero(wrong | made_up)):
                watch = labelled(watch, said(True, True, OPERATOR), RELEASE, SETTINGS)
            watch = inspected(watch, A, 60, START)
            proof |= bool(proven(watch, SETTINGS, young=True))
            for is_defect, is_wrong in zip((defect ^ misread)[:6], (wrong ^ misread)[:6], strict=True):
                watch = labelled(watch, said(bool(is_defect), bool(is_wrong)), RELEASE, SETTINGS)
                proof |= bool(proven(watch, SETTINGS, young=True))
        withdrawn += proof
    assert withdrawn < 12


def test_evidence_that_proves_nothing_alone_withdraws_together() -> None:
    """Six labels of sixteen and eight overrides on a hundred parts: too little each, enough together."""
    watch = watch_of(RELEASE, SETTINGS)
    for i in range(16):
        watch = labelled(watch, said(i % 3 == 0, i % 8 in (0, 1, 3)), RELEASE, SETTINGS)
    alone = [watch.evidence.escapes, watch.evidence.false_rejects, watch.overrides]
    assert not any(process.reached(SETTINGS.withdrawal_proof) for process in alone)
    assert not harms(watch.evidence, SETTINGS)
    (reason,) = proven(watch, SETTINGS, young=True)
    assert reason.code == "harm-both"
    assert reason.parameters == {"wrong": 6, "labels": 16}
    assert not proven(watch, SETTINGS)


def test_evidence_of_an_older_monitor_goes_on_with_the_next_label() -> None:
    watch = labelled(watch_of(RELEASE, SETTINGS), said(True, True), RELEASE, SETTINGS)
    older = Watch.model_validate(watch.model_dump(exclude={"either_side"}))
    assert older.either_side is None
    assert not proven(older, SETTINGS, young=True)
    again = labelled(older, said(False, False), RELEASE, SETTINGS).either_side
    assert again is not None
    assert again.labels == 1
