"""May a site be trained from this base model? Rules over values; what is refused may be accepted by name, but never a
file that is not the one that was reviewed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from contracts.errors import ConfigurationError
from trainer.bases.backbone import BaseModel, sha256_of
from trainer.bases.catalogue import DEFAULT_MODEL, Catalogue, Entry, Listed, Override, Policy, fetched


@dataclass(frozen=True)
class Judgement:
    """`reasons` why the policy refuses the model, and who accepted them nevertheless."""

    reasons: tuple[str, ...]
    accepted: Override | None = None

    @property
    def allowed(self) -> bool:
        """Without any reason, or with somebody's name under them."""
        return not self.reasons or self.accepted is not None


def judge(entry: Entry, policy: Policy, overrides: tuple[Override, ...] = (), *, today: date) -> Judgement:
    """What the policy says about a model as it is described; its weights are `verify`'s matter."""
    reasons = (*_missing(entry, policy), *_licence(entry, policy), *_review(entry, policy, today))
    valid = [
        item for item in overrides if item.model == entry.id and (item.expires is None or item.expires >= today)
    ]  # fmt: skip
    return Judgement(reasons, valid[-1] if reasons and valid else None)


def choose(catalogue: Catalogue, *, name: str | None = None, weights: Path | None = None, today: date) -> BaseModel:
    """The base model of that name, or the one whose weights this file holds, or the one that comes with Lineside; with
    the risk that somebody accepted, for the card. Raises ConfigurationError as `admit` does."""
    listed = catalogue.of_file(weights) if weights and not name else catalogue.named(name or DEFAULT_MODEL)
    path, judgement = admit(catalogue, listed, today=today, weights=weights)
    accepted = judgement.accepted
    risk = f"{accepted.risk} (accepted by {accepted.by}, {accepted.date})" if accepted else ""
    return listed.base_model(path, accepted_risk=risk)


def admit(catalogue: Catalogue, listed: Listed, *, today: date, weights: Path | None = None) -> tuple[Path, Judgement]:
    """The weights file of a model that may be trained with. Raises ConfigurationError with every reason and the remedy
    when the policy refuses it, when there is no file, or when the file is another than the one described."""
    judgement = judge(listed.entry, catalogue.policy, catalogue.overrides, today=today)
    name = listed.entry.id
    if not judgement.allowed:
        raise ConfigurationError(
            f"the policy refuses the base model {name}: {'; '.join(judgement.reasons)}. Complete its entry, choose "
            f"another, or accept the risk by name: lineside models accept {name} --by NAME --risk SENTENCE"
        )
    path = fetched(listed, weights=weights)
    if (found := sha256_of(path)) != listed.entry.sha256:
        raise ConfigurationError(
            f"{path} has SHA-256 {found}, expected {listed.entry.sha256} for {name}; fetch the file again. Nobody can "
            "accept another file than the one that was reviewed"
        )
    return path, judgement


def _missing(entry: Entry, policy: Policy) -> list[str]:
    empty = [key for key in policy.required if not getattr(entry, key)]
    reasons = [f"it says nothing about {', '.join(empty)}"] if empty else []
    if entry.training_data.strip().lower().rstrip(".") in policy.undocumented:
        reasons.append(f"its training data are {entry.training_data.strip()!r}")
    return reasons


def _licence(entry: Entry, policy: Policy) -> list[str]:
    reasons = []
    if entry.licence and entry.licence not in policy.allowed_licences:
        reasons.append(f"its licence {entry.licence!r} is none of {', '.join(policy.allowed_licences)}")
    stated = f"{entry.licence} {entry.permitted_use} {entry.training_data}".lower()
    if terms := [term for term in policy.forbidden_terms if term.lower() in stated]:
        reasons.append(f"its terms or those of its training data say {terms[0]!r}")
    return reasons


def _review(entry: Entry, policy: Policy, today: date) -> list[str]:
    if entry.reviewed is None:
        return []
    if entry.reviewed > today:
        return [f"its review is dated {entry.reviewed}, in the future"]
    expires = entry.expires or (None if entry.synthetic else entry.reviewed + timedelta(days=policy.review_days))
    return [f"its review by {entry.reviewer or 'nobody'} expired on {expires}"] if expires and expires < today else []
