"""Energy is what the processor's counters say, and nothing where there are none."""

from __future__ import annotations

from pathlib import Path

from runtime.energy import EnergyMeter


def zone(folder: Path, name: str, kind: str, microjoules: int, largest: int = 1_000_000) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / "name").write_text(kind + "\n")
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text(f"{largest - 1}\n")
    return place / "energy_uj"


def test_packages_are_added_and_their_parts_are_not(tmp_path: Path) -> None:
    counters = [zone(tmp_path, "intel-rapl:0", "package-0", 100), zone(tmp_path, "intel-rapl:1", "package-1", 200)]
    zone(tmp_path, "intel-rapl:0:0", "core", 50)
    meter = EnergyMeter(tmp_path)
    before = meter.read()
    counters[0].write_text("500100\n")
    counters[1].write_text("250200\n")
    assert meter.present
    assert meter.joules(before, meter.read()) == 0.75


def test_counter_that_began_again_is_followed(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    meter = EnergyMeter(tmp_path)
    before = meter.read()
    counter.write_text("100000\n")
    assert meter.joules(before, meter.read()) == 0.2


def test_machine_without_counters_tells_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        meter = EnergyMeter(folder)
        assert not meter.present
        assert meter.joules(meter.read(), meter.read()) is None


def test_counter_that_cannot_be_read_any_more_is_no_energy(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    meter = EnergyMeter(tmp_path)
    before = meter.read()
    counter.write_text("nonsense")
    assert meter.joules(before, meter.read()) is None
