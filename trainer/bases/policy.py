"""May a site be trained from this base model? Rules over values; what is refused may be accepted by name, but never a
file that is not the one that was reviewed. What is refused in a model is refused in all that is made from it, and what
was accepted for it stays on record there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from contracts.errors import ConfigurationError
from trainer.bases.ancestry import ancestry, known
from trainer.bases.backbone import BaseModel, Described, sha256_of
from trainer.bases.catalogue import DEFAULT_MODEL, Catalogue, Entry, Listed, Override, Policy, acceptance, fetched


@dataclass(frozen=True)
class Judgement:
    """`reasons` why the policy refuses the model, and who accepted them nevertheless; the models it was made from,
    nearest first."""

    reasons: tuple[str, ...]
    accepted: Override | None = None
    ancestors: tuple[Described, ...] = ()

    @property
    def allowed(self) -> bool:
        """Without any reason, or with somebody's name under them."""
        return not self.reasons or self.accepted is not None

    @property
    def inherited(self) -> tuple[Described, ...]:
        """Those that were trained from because somebody accepted a risk by name."""
        return tuple(each for each in self.ancestors if each.accepted_risk)


def judge(entry: Entry, policy: Policy, overrides: tuple[Override, ...] = (), *, today: date) -> Judgement:
    """What the policy says about a model as it is described, by itself; its weights are `verify`'s matter."""
    reasons = (*_missing(entry, policy), *_licence(entry, policy), *_review(entry, policy, today))
    return Judgement(reasons, _accepted(entry.id, overrides, today) if reasons else None)


def judge_line(catalogue: Catalogue, listed: Listed, *, today: date) -> Judgement:
    """`judge` of the model and of all that it was made from. An ancestor's description and terms count, its review does
    not: the descendant has its own. What nobody accepts there any more has to be accepted for the descendant."""
    entry = listed.entry
    reasons = list(judge(entry, catalogue.policy, today=today).reasons)
    ancestors = []
    for described in ancestry(catalogue, entry):
        marked, refused = _judge_ancestor(catalogue, described, today)
        ancestors.append(marked)
        reasons += [f"of {marked.id}, which it was made from: {reason}" for reason in refused]
    accepted = _accepted(entry.id, catalogue.overrides, today) if reasons else None
    return Judgement(tuple(reasons), accepted, tuple(ancestors))


def choose(catalogue: Catalogue, *, name: str | None = None, weights: Path | None = None, today: date) -> BaseModel:
    """The base model of that name, or the one whose weights this file holds, or the one that comes with Lineside; with
    the risk that somebody accepted, for the card. Raises ConfigurationError as `admit` does."""
    listed = catalogue.of_file(weights) if weights and not name else catalogue.named(name or DEFAULT_MODEL)
    path, judgement = admit(catalogue, listed, today=today, weights=weights)
    return listed.base_model(path, accepted=judgement.accepted, ancestors=judgement.ancestors)


def admit(catalogue: Catalogue, listed: Listed, *, today: date, weights: Path | None = None) -> tuple[Path, Judgement]:
    """The weights file of a model that may be trained with. Raises ConfigurationError with every reason and the remedy
    when the policy refuses it, when there is no file, or when the file is another than the one described."""
    judgement = judge_line(catalogue, listed, today=today)
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


def _judge_ancestor(catalogue: Catalogue, described: Described, today: date) -> tuple[Described, list[str]]:
    """The ancestor with the risk that is accepted for it, and what nobody accepts. Where it is in the catalogue, that
    decides; else what was carried along."""
    policy, listed = catalogue.policy, known(catalogue, described)
    if listed:
        reasons = [*_missing(listed.entry, policy), *_licence(listed.entry, policy)]
    else:
        reasons = _terms("", described.licence.permitted_use, described.training_data, policy)
    accepted = _accepted(described.id, catalogue.overrides, today)
    if reasons and accepted:
        return described.model_copy(update=acceptance(accepted)), []
    if listed or not described.accepted_risk:
        return described, reasons
    if described.accepted_until and described.accepted_until < today:
        reasons = [f"its risk was accepted until {described.accepted_until} only: {described.accepted_risk}"]
        return described, reasons
    return described, []


def _accepted(model: str, overrides: tuple[Override, ...], today: date) -> Override | None:
    """The last that holds."""
    valid = [item for item in overrides if item.model == model and (item.expires is None or item.expires >= today)]
    return valid[-1] if valid else None


def _missing(entry: Entry, policy: Policy) -> list[str]:
    empty = [key for key in policy.required if not getattr(entry, key)]
    reasons = [f"it says nothing about {', '.join(empty)}"] if empty else []
    if entry.training_data.strip().lower().rstrip(".") in policy.undocumented:
        reasons.append(f"its training data are {entry.training_data.strip()!r}")
    return reasons


def _licence(entry: Entry, policy: Policy) -> list[str]:
    reasons = []
    several = entry.licence.split("; ")  # as `trainer.licence.strictest` joins them: every one of them holds
    if entry.licence and not set(several) <= set(policy.allowed_licences):
        reasons.append(f"its licence {entry.licence!r} is none of {', '.join(policy.allowed_licences)}")
    if not entry.production:
        reasons.append("what it was made from is not for production")
    return [*reasons, *_terms(entry.licence, entry.permitted_use, entry.training_data, policy)]


def _terms(licence: str, permitted_use: str, training_data: str, policy: Policy) -> list[str]:
    stated = f"{licence} {permitted_use} {training_data}".lower()
    terms = [term for term in policy.forbidden_terms if term.lower() in stated]
    return [f"its terms or those of its training data say {terms[0]!r}"] if terms else []


def _review(entry: Entry, policy: Policy, today: date) -> list[str]:
    if entry.reviewed is None:
        return []
    if entry.reviewed > today:
        return [f"its review is dated {entry.reviewed}, in the future"]
    expires = entry.expires or (None if entry.synthetic else entry.reviewed + timedelta(days=policy.review_days))
    return [f"its review by {entry.reviewer or 'nobody'} expired on {expires}"] if expires and expires < today else []
