"""How each strategy of fine-tuning treats the network: how much of it, how fast, how long, and what of BatchNorm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from trainer.settings import StrategyName, TrainingSettings


@dataclass(frozen=True)
class Recipe:
    """One schedule, fixed before the run. Learning rates are AdamW's peak values: `rate` for the stage below the head,
    `deepest` times that for the first trained stage (geometrically between, as in Howard & Ruder, ACL 2018), `head`
    times it for the head, which starts fitted (Kumar et al., ICLR 2022). `learns_statistics`: BatchNorm uses each
    batch's statistics while it trains and its averages later; else those of the pretraining throughout."""

    rate: float | None  # None: 0.01 / sqrt(width of the embedding)
    deepest: float
    head: float
    passes: int
    fewest_steps: int
    most_steps: int
    learns_statistics: bool = False
    checks: int = 6  # of the averaged weights against the held-out images
    patience: int = 3  # checks without improvement, after which the training ends
    memory: float = 0.98  # of the averaged weights, in steps
    rate_factor: float = 1.0  # times all rates
    steps_factor: float = 1.0  # times the steps that passes and bounds give
    keeps_latest: bool = False  # that is within one standard error of the lowest loss, instead of the lowest itself
    from_random: bool = False  # weights: the start is no measure of what training must not lose (see `jump`)
    groups: int = 0  # of stages, released from the top back (see `unfreezing`); 0: all learn from the first step on
    rank: int = 0  # of the adapters that learn in place of the weights below the head; 0: the weights themselves


_ALL_STEPS: dict[str, Any] = {"checks": 12, "keeps_latest": True}
_TO_THE_END: dict[str, Any] = {"learns_statistics": True, **_ALL_STEPS}

RECIPES: dict[StrategyName, Recipe | None] = {
    "probe": None,
    "tail": Recipe(None, 1.0, 1 / 3, passes=8, fewest_steps=80, most_steps=1000),
    "full": Recipe(1e-3, 0.2, 1 / 3, passes=14, fewest_steps=600, most_steps=1500, patience=6, **_TO_THE_END),
    "gradual": Recipe(
        1e-3, 1 / 8, 1 / 3, passes=14, fewest_steps=600, most_steps=1500, patience=9, groups=4, **_TO_THE_END
    ),
    "lora": Recipe(3e-3, 1.0, 1 / 3, passes=14, fewest_steps=600, most_steps=1500, patience=6, rank=8, **_ALL_STEPS),
    "scratch": Recipe(
        2e-3, 1.0, 1.0, passes=16, fewest_steps=300, most_steps=1500, patience=9, from_random=True, **_TO_THE_END
    ),
}
"""Of each strategy; None: nothing but the head is learned."""

PIXELS: tuple[StrategyName, ...] = ("full", "gradual", "lora", "scratch")
"""Nothing below them stays as it is, so nothing is cached: they see the images anew at every step."""


def recipe_of(settings: TrainingSettings) -> Recipe | None:
    """The recipe of the settings' strategy, with what a run changes of it. Heads beside the class's start from nothing
    and are not through when the class is best: with them the latest weights are kept that are as good as the best."""
    recipe = RECIPES[settings.strategy]
    if recipe is None:
        return None
    return replace(
        recipe,
        deepest=recipe.deepest if settings.depth_ratio is None else settings.depth_ratio,
        rate_factor=settings.rate_factor,
        steps_factor=settings.steps_factor,
        keeps_latest=recipe.keeps_latest or bool(settings.tasks),
        rank=settings.lora_rank if recipe.rank else 0,
    )
