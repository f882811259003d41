"""One source and one exported bundle for all tests that only look."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.export import export_source
from exporter.graph import export_graph
from exporter.quantise import simplify
from exporter.source import Source
from runtime.bundle import Bundle
from tests.simulators.small_network import small_network, small_source


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A small network with real pictures. Do not change it."""
    return small_source(tmp_path_factory.mktemp("source") / "pictures", small_network())


@pytest.fixture(scope="session")
def simplified(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its float file, constants folded. Do not change it."""
    folder = tmp_path_factory.mktemp("graph")
    export_graph(source.module, source.signature, folder / "float.onnx")
    simplify(folder / "float.onnx", folder / "simplified.onnx")
    return folder / "simplified.onnx"


@pytest.fixture(scope="session")
def exported(source: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, list[str]]:
    """Its bundle and what was said on the way."""
    said: list[str] = []
    folder: Path = tmp_path_factory.mktemp("bundles")
    return export_source(source, folder / "bundle", progress=said.append), said
