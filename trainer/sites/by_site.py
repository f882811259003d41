"""A model of several sites, looked at site by site: a pooled figure may hide one that is served badly."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from contracts.names import Wire
from trainer.claim import claimed
from trainer.evaluation.figures import Answers, balanced_accuracy, estimate
from trainer.evaluation.report import Estimate
from trainer.evaluation.words import figure


class AtSite(Wire):
    """The test images of one site. `right`: let through or stopped as they should be."""

    site: str
    good: int = Field(ge=0)
    defective: int = Field(ge=0)
    right: int = Field(ge=0)
    balanced_accuracy: Estimate

    def in_words(self) -> str:
        """Counts, and the figure where there are enough.

        >>> AtSite(site="a", good=3, defective=2, right=4, balanced_accuracy=Estimate(value=None)).in_words()
        '3 good, 2 defective: too few to claim an accuracy, 4 right'
        """
        counts, found = f"{self.good} good, {self.defective} defective", self.balanced_accuracy
        if not claimed(self.good, self.defective) or found.value is None:
            return f"{counts}: too few to claim an accuracy, {self.right} right"
        return f"{counts}: balanced accuracy {figure(found)}"


def by_site(answers: Answers, sites: Sequence[str]) -> tuple[AtSite, ...]:
    """Of the answers to the test, for every one of these sites, those too of which nothing is tested; nothing
    where there is a single one."""
    found = []
    for site in sorted(set(sites)) if len(set(sites)) > 1 else ():
        part = answers.rows([row for row, example in enumerate(answers.examples) if example.site == site])
        defective = int(part.defect.sum())
        found.append(AtSite(
            site=site or "(none)", good=len(part.examples) - defective, defective=defective,
            right=int((part.stopped == part.defect).sum()), balanced_accuracy=estimate(part, balanced_accuracy),
        ))  # fmt: skip
    return tuple(found)


def lines_of(found: Sequence[AtSite]) -> list[str]:
    """A line for each site."""
    return [f"{each.site}: {each.in_words()}" for each in found]
