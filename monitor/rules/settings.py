"""Every limit of the rules, with production's defaults. A demo shortens the commissioning and nothing else."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Literal

from pydantic import Field

from contracts.settings import Settings
from drift.eprocess import PROOF
from drift.pause import PAUSE_MINUTES, SETTLE_MINUTES
from drift.profile import MOST_WINDOWS
from drift.tolerance import LABEL_NOISE, MARGIN

ApprovalMode = Literal["person", "two-people", "automatic-after-shadow"]


class MaintenanceWindow(Settings):
    """A weekly span, in UTC, in which no retrain may start. `to` before `from_` runs past midnight."""

    weekdays: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4, 5, 6), description="0 is Monday; day on which it starts")
    from_: time
    to: time

    def covers(self, moment: datetime) -> bool:
        """Whether `moment` (UTC) lies inside."""
        clock = moment.time()
        if self.from_ <= self.to:
            return moment.weekday() in self.weekdays and self.from_ <= clock < self.to
        yesterday = (moment - timedelta(days=1)).weekday()
        return (moment.weekday() in self.weekdays and clock >= self.from_) or (
            yesterday in self.weekdays and clock < self.to
        )


class RuleSettings(Settings):
    """Limits of detection, diagnosis, labels, retraining and withdrawal."""

    commissioning_windows: int = Field(default=300, ge=20, description="at least; a slow wander asks for more")
    commissioning_cycle_hours: float = Field(
        default=168.0, ge=0, description="from the first window to the last at least: a whole cycle, here a week"
    )
    commissioning_most_windows: int = Field(
        default=MOST_WINDOWS, ge=20, description="however slow the wander: taken as it is then, with wider limits"
    )
    pause_minutes: float = Field(default=PAUSE_MINUTES, gt=0, description="without a window: the line stood still")
    settle_minutes: float = Field(
        default=SETTLE_MINUTES,
        ge=0,
        description="not learned, not judged: a quarter of the pause, at most this",
    )
    level: float = Field(default=0.01, gt=0, lt=0.5, description="p of the T2 limit of one window")
    windows_over: int = Field(default=3, ge=1, description="k of ...")
    windows_looked_at: int = Field(default=3, ge=1, description="... n windows over the limit raise drift")
    sibling_wait_windows: int = Field(default=1, ge=0, description="windows to wait for siblings after drift")
    sibling_patience_windows: int = Field(default=4, ge=0, description="give up on a sibling that reports nothing")
    confirm_windows: int = Field(default=3, ge=1, description="quiet windows that confirm a repair")
    vanish_windows: int = Field(default=10, ge=1, description="quiet windows after which a drift counts as gone")
    merge_minutes: float = Field(default=30.0, ge=0, description="alarms of one model this close are one incident")

    random_labels: int = Field(default=200, ge=20)
    atypical_labels: int = Field(default=40, ge=0, description="images that look least like the others, on top")
    unsure_labels: int = Field(default=20, ge=0, description="images of which the model was least sure, on top")
    overruled_labels: int = Field(
        default=20, ge=0, description="images whose verdicts somebody at the line contradicted, where there are some"
    )
    label_days: float = Field(default=2.0, gt=0, description="ask again for what is missing after this long")
    proof: float = Field(default=PROOF, gt=1, description="e-value taken for proof")
    margin: float = Field(default=MARGIN, ge=0, lt=1, description="error allowed above the certificate's upper bound")
    label_noise: float = Field(default=LABEL_NOISE, ge=0, lt=0.3, description="share of labels that may be wrong")
    escapes_tolerated: float | None = Field(default=None, gt=0, lt=1, description="instead of certificate + margin")
    false_rejects_tolerated: float | None = Field(default=None, gt=0, lt=1)
    unseen_class_parts: int = Field(default=5, ge=1, description="confirmed parts of a class the model does not know")

    retrain_labels: int = Field(
        default=240, ge=1, description="new labels needed before a retrain: nearly all of those that a drift asks for"
    )
    retrain_labels_per_side: int = Field(default=20, ge=1, description="of the side (good, defect) that failed")
    retrain_in_doubt: bool = Field(
        default=False, description="without waiting for a look at a camera that no other camera can vouch for"
    )
    retrain_labels_after_refusal: int = Field(default=50, ge=0, description="further labels before trying again")
    cool_down_hours: float = Field(default=24.0, ge=0)
    jobs_at_once: int = Field(default=2, ge=1, description="of all models together; one per model always")
    retrains_a_week: int = Field(default=3, ge=1, description="this many in 7 days: the next one needs a person")
    job_hours: float = Field(default=24.0, gt=0, description="a job that says nothing for this long is given up")
    shadow_hours: float = Field(default=72.0, gt=0, description="a shadow without a decision for this long is given up")
    maintenance: tuple[MaintenanceWindow, ...] = ()
    person_hours: float = Field(
        default=24.0, gt=0, description="an incident that stands still this long asks a person, and again after as long"
    )
    diagnose_hours: float = Field(
        default=2.0, gt=0, description="a drift whose camera or siblings report nothing more is judged by what is known"
    )

    compute_hours_a_week: float | None = Field(default=None, gt=0, description="of retrains of one model; None: any")
    labels_a_week: int | None = Field(default=None, ge=0, description="images asked for, of one model; None: any")
    retrain_days: float | None = Field(default=None, gt=0, description="retrain on schedule, this long after the last")
    retrain_on_labels: int | None = Field(default=None, ge=1, description="retrain on so many labels since the last")
    accuracy_drop: float | None = Field(
        default=None, gt=0, lt=1, description="retrain where audit labels show so much more error than certified"
    )
    accuracy_proof: float = Field(default=100.0, gt=1, description="e-value of that drop; a retrain is no withdrawal")

    latency_factor: float = Field(
        default=3.0, gt=1, description="of the same camera's latency under the release before"
    )
    latency_floor_seconds: float = Field(default=0.02, ge=0, description="a mean below it is never too slow")
    latency_windows: int = Field(default=10, ge=1, description="slow windows in a row that count as proof")
    probation_days: float = Field(default=7.0, ge=0, description="a release this young is withdrawn on proof of harm")
    withdrawal_proof: float = Field(
        default=20.0,
        gt=1,
        description="e-value, of all evidence together, taken for proof against a release on probation",
    )
