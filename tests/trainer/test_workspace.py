"""A workspace keeps how each site's product is trained, whoever was trained in it since."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from trainer.bases.backbone import BaseModel
from trainer.settings import TrainingSettings
from trainer.trained import TrainedModel
from trainer.workspace import SiteRecord, recall_model, recall_site, remember_model, remember_site


def record_of(base: BaseModel, site: str, product: str = "default", *, seed: int = 0) -> SiteRecord:
    return SiteRecord(site=site, product=product, base_model=base, settings=TrainingSettings(seed=seed))


def test_the_next_site_leaves_the_first_as_it_was(small_base: BaseModel, tmp_path: Path) -> None:
    remember_site(tmp_path, record_of(small_base, "hall-3", seed=3))
    remember_site(tmp_path, record_of(small_base, "hall-4", seed=4))
    remember_site(tmp_path, record_of(small_base, "hall-4", "lids", seed=5))
    found = [("hall-3", "default"), ("hall-4", "default"), ("hall-4", "lids")]
    assert [recall_site(tmp_path, *name).settings.seed for name in found] == [3, 4, 5]
    with pytest.raises(ConfigurationError, match=r"only hall-3 \(product default\), .*--site hall-5 --product x"):
        recall_site(tmp_path, "hall-5", "x")


def test_record_of_an_earlier_version_is_still_read(small_base: BaseModel, tmp_path: Path) -> None:
    (tmp_path / "site.json").write_text(record_of(small_base, "hall-3", seed=3).model_dump_json())
    assert recall_site(tmp_path, "hall-3", "default").settings.seed == 3
    assert recall_site(tmp_path, "renamed", "default").settings.seed == 3, "a single site is the one that is meant"
    remember_site(tmp_path, record_of(small_base, "hall-4", seed=4))
    assert recall_site(tmp_path, "hall-3", "default").settings.seed == 3
    remember_site(tmp_path, record_of(small_base, "hall-3", seed=5))
    assert recall_site(tmp_path, "hall-3", "default").settings.seed == 5, "trained anew since"


def test_workspace_without_a_site_and_a_damaged_record_are_named(small_base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no trainer's workspace: it knows no site"):
        recall_site(tmp_path, "hall-3", "default")
    remember_site(tmp_path, record_of(small_base, "hall-3"))
    (tmp_path / "sites" / "hall-3" / "default.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"hall-3/default.json does not tell how a site is trained"):
        recall_site(tmp_path, "hall-3", "default")


def test_sites_of_one_snapshot_keep_their_own_run_as_parent(first_model: TrainedModel, tmp_path: Path) -> None:
    other = copied(first_model, tmp_path / "other", site="hall-4")
    for model in (first_model, other):
        remember_model(tmp_path, model)
    snapshot = first_model.record.lineage.snapshot_hash
    mine, others = (recall_model(tmp_path, snapshot, site, "default") for site in ("plant-1", "hall-4"))
    assert mine is not None
    assert others is not None
    assert (mine.record.site, others.record.site) == ("plant-1", "hall-4")
    anybody = recall_model(tmp_path, snapshot, "nobody", "default")
    assert anybody is not None
    assert anybody.record.site == "hall-4", "the latest"


def copied(model: TrainedModel, folder: Path, *, site: str) -> TrainedModel:
    """The run as one of another site."""
    shutil.copytree(model.folder, folder)
    record = model.record.model_copy(update={"site": site})
    (folder / "run.json").write_text(record.model_dump_json())
    return replace(model, folder=folder, record=record)
