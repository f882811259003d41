"""The monitor's configuration file (TOML), read once at the door. Units are in the names; unknown keys are errors."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator

from contracts.access import BrokerAccess, is_loopback
from contracts.errors import ConfigurationError
from contracts.frame import Probability
from contracts.names import Identifier, Label, Name, Sha256
from contracts.settings import Settings, parse_settings
from monitor.rules.fleet import FleetSettings
from monitor.rules.gate import GateSettings
from monitor.rules.settings import ApprovalMode, RuleSettings
from monitor.rules.shadowing import ShadowSettings


class BrokerSettings(BrokerAccess):
    """Where telemetry comes from (MQTT 3.1.1). Beyond loopback it needs a user and a password."""


class RaterSettings(Settings):
    """A person who may label and nothing else; `lineside monitor rater NAME` makes one."""

    name: Identifier = Field(description="to sign in with; nobody else sees it, only a pseudonym")
    key_sha256: Sha256 = Field(description="of the key to sign in with, which is written down nowhere here")


class WebSettings(Settings):
    """The HTTP door: pages, API, registry, metrics. Beyond loopback people need the password and agents the token."""

    host: str = "127.0.0.1"
    port: int = Field(default=8500, ge=0, le=65535, description="0: any free port")
    user: str = "operator"
    password: SecretStr | None = None
    password_file: Path | None = None
    agent_token: SecretStr | None = None
    agent_token_file: Path | None = None
    raters: tuple[RaterSettings, ...] = Field(default=(), description="people who label, each with a key of their own")
    allowed_hosts: tuple[str, ...] = Field(default=(), description="names it may be called by, beside its own address")
    max_image_bytes: int = Field(default=32_000_000, ge=1)

    @model_validator(mode="after")
    def _told_apart(self) -> WebSettings:
        names = [self.user, *(rater.name for rater in self.raters)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two people are called {twice[0]!r}; each rater needs a name and a key of their own")
        if self.raters and self.password is None and self.password_file is None:
            raise ValueError("raters sign in, but without password_file nobody is asked who they are: set it")
        return self

    @model_validator(mode="after")
    def _closed(self) -> WebSettings:
        if is_loopback(self.host):
            return self
        if self.password is None and self.password_file is None:
            raise ValueError(f"{self.host} can be reached from elsewhere: set password_file, or host = '127.0.0.1'")
        if self.agent_token is None and self.agent_token_file is None:
            raise ValueError(f"{self.host} can be reached from elsewhere: set agent_token_file")
        return self


class LabelSettings(Settings):
    """Which images people are asked about, beside those that a drift calls for (see `rules`)."""

    gate_fraction: Probability = Field(default=0.25, description="share of random labels kept for the gate")
    audit_per_camera_day: float = Field(default=50.0, ge=0.0, description="random images at all times")
    audit_fraction: Probability | None = Field(default=None, description="fixed share of images instead")
    extra: tuple[Label, ...] = Field(default=(), description="classes a rater may name that no model knows yet")
    second_opinions: Probability = Field(default=0.1, description="share of images that another person is asked, too")
    most_of_one_person: float = Field(
        default=0.6, gt=0.0, le=1.0, description="share of an incident's labels; with two `web.raters` or more"
    )
    free_of_share: int = Field(default=20, ge=0, description="labels of one person before that share is looked at")


class RetrainSettings(Settings):
    """The process that obeys a retrain order. `--order FILE --out DIR` is appended; it writes `DIR/bundle`."""

    command: tuple[str, ...] = ()
    limit_seconds: float = Field(default=4 * 3600.0, gt=0.0)
    limit_bytes: int = Field(default=16_000_000_000, ge=1, description="memory of its processes together; then ended")
    attempts: int = Field(default=2, ge=1, le=10, description="starts of one order that restarts of the monitor cost")
    retries: int = Field(default=2, ge=0, le=10, description="times it is tried again after it ended badly by itself")
    retry_seconds: float = Field(
        default=300.0, ge=0.0, description="before the first of these; each waits twice as long"
    )
    threads: int = Field(default=2, ge=1, description="OMP_NUM_THREADS of the process")


class LabelCheckSettings(Settings):
    """The process that looks labels over: `lineside check`. `LABELS.csv --out DIR` and a `--good` for each class that
    passes are appended; it writes `DIR/quality.json`."""

    command: tuple[str, ...] = ()
    hours: float = Field(default=24.0, ge=0.0, description="after the last one, where new labels have come")
    limit_seconds: float = Field(default=3600.0, gt=0.0)
    limit_bytes: int = Field(default=8_000_000_000, ge=1, description="memory of its processes together; then ended")
    threads: int = Field(default=1, ge=1, description="OMP_NUM_THREADS of the process")


class RolloutSettings(Settings):
    """From a candidate to a release. `approvals`: `site` or `site/product` -> who approves."""

    approval: ApprovalMode = "person"
    approvals: dict[str, ApprovalMode] = {}
    first_balanced_accuracy: float = Field(
        default=0.6, ge=0.5, le=1.0, description="least of a site's first release, on its gold set"
    )
    replay_images: int = Field(default=500, ge=1, le=100_000)
    replay_wait_seconds: float = Field(default=3600.0, gt=0.0, description="then an absent agent is left out")
    threads: int = Field(default=1, ge=1, description="of the gate's inference")

    def approval_for(self, site: str, product: str) -> ApprovalMode:
        """Who approves for that site and product."""
        return self.approvals.get(f"{site}/{product}", self.approvals.get(site, self.approval))


class OrderSettings(Settings):
    """How orders reach agents that may be away."""

    valid_hours: float = Field(default=72.0, gt=0.0)
    resend_seconds: float = Field(default=30.0, gt=0.0)


class RetentionSettings(Settings):
    """How long things are kept. The timeline, releases and labels stay."""

    telemetry_days: float = Field(default=90.0, gt=0.0, description="of messages as they came")
    window_days: float = Field(default=730.0, gt=0.0, description="of windows as they were judged, for the charts")
    image_days: float = Field(default=90.0, gt=0.0, description="of images that no training or gate uses")


class _RulesOnly(Settings):
    rules: RuleSettings


class SiteSettings(Settings):
    """What one site has other than the rest. Who approves there: `rollout.approvals`."""

    rules: dict[str, Any] = Field(default={}, description="keys of `rules` with this site's values")


class MonitorSettings(Settings):
    """Everything a monitor needs to know. `state_folder` holds its database, images, bundles, jobs and registry."""

    state_folder: Path
    sites: tuple[Name, ...] = Field(min_length=1)
    registry_folder: Path | None = Field(default=None, description="of `lineside monitor init`; default: registry/")
    broker: BrokerSettings = BrokerSettings()
    web: WebSettings = WebSettings()
    rules: RuleSettings = RuleSettings()
    fleet: FleetSettings = FleetSettings()
    gate: GateSettings = GateSettings()
    shadow: ShadowSettings = ShadowSettings()
    labels: LabelSettings = LabelSettings()
    label_check: LabelCheckSettings = LabelCheckSettings()
    retraining: RetrainSettings = RetrainSettings()
    rollout: RolloutSettings = RolloutSettings()
    orders: OrderSettings = OrderSettings()
    retention: RetentionSettings = RetentionSettings()
    site: dict[Name, SiteSettings] = Field(default={}, description="`[site.NAME.rules]`: where one site differs")

    @model_validator(mode="after")
    def _sites_known(self) -> MonitorSettings:
        named = {*self.site, *(name.partition("/")[0] for name in self.rollout.approvals)}
        if unknown := named - set(self.sites):
            raise ValueError(f"settings for site {', '.join(sorted(unknown))}, which is not among sites")
        for name, own in self.site.items():
            try:
                parse_settings({"rules": own.rules}, _RulesOnly, source=f"site.{name}")
            except ConfigurationError as error:
                raise ValueError(str(error)) from error
        return self

    def rules_of(self, site: str) -> RuleSettings:
        """The rules of one site."""
        return self._rules.get(site, self.rules)

    @cached_property
    def _rules(self) -> dict[str, RuleSettings]:
        return {
            name: RuleSettings.model_validate({**self.rules.model_dump(), **own.rules})
            for name, own in self.site.items()
        }

    @property
    def registry(self) -> Path:
        """Where the registry lies."""
        return self.registry_folder or self.state_folder / "registry"
