"""Why a variant serves on this device: values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from contracts.bundle import Variant

Basis = Literal["certificate", "golden samples", "settings"]


@dataclass(frozen=True)
class Selection:
    """What serves, on which class of devices, on which evidence, and why not another variant. `unbuilt` are those
    whose engine has to be built first."""

    variant: str
    device_class: str
    basis: Basis
    why: str
    passed_over: Mapping[str, str] = field(default_factory=dict)
    unbuilt: tuple[Variant, ...] = ()

    @property
    def note(self) -> str:
        """What a person should know; empty where the bundle's own certificate holds for this class."""
        if self.basis == "certificate":
            return ""
        if self.basis == "settings":
            return f"{self.variant} serves because the settings say so"
        failed = [name for name in self.passed_over if name != self.variant]
        others = f"; passed over: {', '.join(failed)}" if failed else ""
        return (
            f"{self.variant} serves without a certificate for {self.device_class}: "
            f"it was proven here on the golden samples{others}"
        )

    @property
    def details(self) -> dict[str, object]:
        """As an event carries it."""
        return {
            "variant": self.variant,
            "device_class": self.device_class,
            "basis": self.basis,
            "why": self.why,
            "passed_over": dict(self.passed_over),
        }
