"""What a user may set about training. The defaults are one recipe for 40 and for 4,000 images."""

from __future__ import annotations

import difflib
import math
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from contracts.preprocessing import Polygon, Tiles
from contracts.settings import Settings
from contracts.tasks import SeverityScale
from trainer.jitter import USUAL, Jitter, jitter_said

FlipsName = Literal["auto", "none", "horizontal", "vertical", "both", "square"]

DeviceName = Literal["auto", "cpu", "cuda"]

StrategyName = Literal["auto", "probe", "tail", "full", "gradual", "lora", "scratch"]

TaskName = Literal["severity", "location"]
WeighedName = Literal["class", "severity", "location"]


def _pulls(said: object) -> object:
    """`severity=0.5 location=1` as it is said by command; `fixed` and nothing: each counts 1."""
    if not isinstance(said, str) or said == "learned":
        return said
    parts = [part.partition("=") for part in said.replace(",", " ").split() if part != "fixed"]
    try:
        pulls = {name: float(number) for name, _, number in parts}
    except ValueError:
        pulls = {"": math.nan}
    if not set(pulls) <= set(get_args(WeighedName)) or not all(0 <= pull < math.inf for pull in pulls.values()):
        raise ValueError("say learned, fixed, or numbers from 0 on as 'class=1 severity=0.5 location=1'")
    return pulls


def _grid(said: object) -> object:
    """`4x2`, or `4x2@0.25` with the overlap, as it is said by command; or a table, whose keys are looked at here, since
    `Tiles` itself also comes from newer peers."""
    if isinstance(said, dict) and (unknown := sorted(map(str, said.keys() - Tiles.model_fields.keys()))):
        near = difflib.get_close_matches(unknown[0], list(Tiles.model_fields), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(Tiles.model_fields)}"
        raise ValueError(f"unknown key {unknown[0]!r}; {hint}")
    if not isinstance(said, str):
        return said
    grid, at, overlap = said.partition("@")
    columns, _, rows = grid.partition("x")
    if not (columns.isdecimal() and rows.isdecimal() and (overlap.replace(".", "", 1).isdecimal() or not at)):
        raise ValueError("say COLUMNSxROWS, for example 4x2, or COLUMNSxROWS@OVERLAP, for example 4x2@0.25")
    return {"columns": int(columns), "rows": int(rows), **({"overlap": float(overlap)} if at else {})}


def _rectangle(said: object) -> object:
    """`120,40,900,700` as it is said by command."""
    if not isinstance(said, str):
        return said
    sides = said.replace(",", " ").split()
    if len(sides) != 4 or not all(side.isdecimal() for side in sides):
        raise ValueError("say left,top,right,bottom in whole pixels of the image, for example 120,40,900,700")
    return tuple(int(side) for side in sides)


def _open(rectangle: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """With something inside."""
    left, top, right, bottom = rectangle
    if not (0 <= left < right and 0 <= top < bottom):
        raise ValueError("right must be more than left and bottom more than top, from 0 on")
    return rectangle


def _corners(said: object) -> object:
    """`10,20 300,20 300,200` as it is said by command."""
    if not isinstance(said, str):
        return said
    try:
        return tuple(tuple(float(number) for number in corner.split(",")) for corner in said.split())
    except ValueError:
        raise ValueError("say the corners as 'x,y x,y x,y', in pixels of the image") from None


class TrainingSettings(Settings):
    """`[training]` of a configuration file; times in seconds."""

    seed: int = 0
    threads: int = Field(default=1, ge=1, le=64, description="of torch")
    device: DeviceName = Field(default="cpu", description="where networks compute; auto: cuda where there is a GPU")
    max_seconds: float = Field(
        default=3600.0, gt=0.0, description="training stops refining in time to end by then; the card says so"
    )
    good: tuple[str, ...] = Field(default=(), description="classes that pass; empty: found by name (good, ok, ...)")
    flips: FlipsName = Field(
        default="auto", description="mirrorings that leave a part what it is; square: quarter turns too; auto: tries"
    )
    average: bool = Field(
        default=False, description="the line sees every image in each of these mirrorings and answers with their mean: "
        "steadier, for as many times the compute"
    )  # fmt: skip
    graft: bool = Field(
        default=False, description="while it learns, marked defects are also shown on good parts: a class is then not "
        "what the few parts that have it look like"
    )  # fmt: skip
    jitter: Annotated[Jitter, BeforeValidator(jitter_said)] = Field(
        default=USUAL, description="what the camera may change from part to part, which training then shows: "
        "'light=0.2 turn=5 blur=1'; place, light and contrast a little where it is not said"
    )  # fmt: skip
    strategy: StrategyName = Field(
        default="tail", description="probe: a head on the frozen backbone; tail: its last blocks too; full: all of it; "
        "gradual: all of it, from the head back; lora: low-rank adapters on its pointwise layers; "
        "scratch: all of it from random weights, the yardstick; auto: two of these compete within max_seconds"
    )  # fmt: skip
    lora_rank: int = Field(default=8, ge=1, le=256, description="of the adapters that the strategy lora trains")
    label_noise: float = Field(default=0.03, ge=0.0, lt=0.5, description="share of labels that may be wrong")
    rate_factor: float = Field(default=1.0, gt=0.0, le=10.0, description="times the learning rates of the recipe")
    depth_ratio: float | None = Field(
        default=None, gt=0.0, le=1.0, description="rate of the deepest trained stage over the top one's; None: recipe's"
    )
    steps_factor: float = Field(default=1.0, gt=0.0, le=10.0, description="times the steps of the recipe")
    replay: int | None = Field(
        default=None, ge=1, description="old training images that a retrain learns again, about; None: all"
    )
    input_width: int | None = Field(default=None, ge=32, le=1024, description="pixels; None: the base model's")
    input_height: int | None = Field(default=None, ge=32, le=1024, description="pixels; None: the base model's")
    choose_size: bool = Field(
        default=False, description="of the input: one, one and a half or two times the base model's, by what a linear "
        "head makes of it, or the smallest that shows the smallest_defect"
    )  # fmt: skip
    resize: Literal["stretch", "pad"] = "stretch"
    pooling: Literal["mean", "gem"] = Field(
        default="mean", description="of what the network sees over the picture: its mean, or the generalised mean, "
        "which a small defect moves more"
    )  # fmt: skip
    tiles: Annotated[Tiles | None, BeforeValidator(_grid)] = Field(
        default=None,
        description="COLUMNSxROWS, or COLUMNSxROWS@OVERLAP: a grid of windows, each of which the network "
        "sees in its full size",
    )
    smallest_defect: float | None = Field(
        default=None, gt=0.0, description="side in pixels of the image; chooses tiles in which it is large enough, or "
        "with choose_size the input's size"
    )  # fmt: skip
    region_of_interest: Annotated[
        Annotated[tuple[int, int, int, int], AfterValidator(_open)] | None, BeforeValidator(_rectangle)
    ] = Field(
        default=None, description="left, top, right, bottom, pixels of the image; the rest is neither seen nor kept"
    )
    region_polygon: Annotated[Polygon | None, BeforeValidator(_corners)] = Field(
        default=None, description="x,y x,y x,y: corners in pixels of the image; what lies outside is not seen"
    )
    hidden: tuple[Annotated[Polygon, BeforeValidator(_corners)], ...] = Field(
        default=(), description="areas, as corners, that are neither seen nor kept"
    )
    source_size: tuple[int, int] | None = Field(
        default=None, description="width and height of the images in which areas were named; taken from them"
    )
    cost_escape: float = Field(default=1.0, gt=0.0)
    cost_false_reject: float = Field(default=1.0, gt=0.0)
    defect_share: float = Field(
        default=0.5, gt=0.0, lt=1.0, description="of the parts on the line, which the costs count by; 0.5: a lost "
        "percent of the defects weighs as much as one of the good parts"
    )  # fmt: skip
    review_fraction: float = Field(default=0.0, ge=0.0, le=0.5, description="share of parts nearest below NG to REVIEW")
    cost_review: float | None = Field(
        default=None, gt=0.0, description="of a part that a person looks at: those between OK and NG for which that is "
        "cheapest are REVIEW; None: see review_fraction"
    )  # fmt: skip
    most_reviewed: float = Field(
        default=1.0, ge=0.0, le=1.0, description="share of the parts that people have time for"
    )
    tasks: tuple[TaskName, ...] = Field(
        default=(), description="answered beside the class: severity (a level), location (a box and a heat map)"
    )
    severity_column: str = Field(default="severity", description="of the manifest: levels, or a measure of the defect")
    severity_levels: int | None = Field(
        default=None, ge=2, le=20, description="with none, each of as many images; None: the column's whole numbers, "
        "or four levels of what measures something"
    )  # fmt: skip
    severity_scale: SeverityScale | None = Field(
        default=None, description="the levels themselves; None: made from the training images and kept by retrains, so "
        "that a level means the same in every release"
    )  # fmt: skip
    task_weights: Annotated[
        Literal["learned"] | dict[WeighedName, Annotated[float, Field(ge=0.0)]], BeforeValidator(_pulls)
    ] = Field(default={}, description="of the losses of class, severity and location, 1 where not named; or learned")
    compare_tasks: bool = Field(
        default=False, description="also train each task alone, and say which is worse together"
    )
    yardstick: bool = Field(default=False, description="also compare the backbone with random weights")

    @model_validator(mode="after")
    def _one_way_to_review(self) -> TrainingSettings:
        if self.cost_review is not None and self.review_fraction > 0.0:
            raise ValueError("review_fraction and cost_review are two ways to one band; name one of them")
        if self.most_reviewed < 1.0 and self.cost_review is None:
            raise ValueError("most_reviewed needs cost_review: what a review costs decides which parts are worth one")
        return self
