"""What the demo shortens, and nothing else: the rules are production's."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from contracts.settings import Settings


class Shortened(Settings):
    """Settings that differ from production, each named in the summary."""

    window_images: int = Field(default=100, description="production: 60 seconds a window")
    commissioning_windows: int = Field(default=60, description="production: a week, more where it wanders")
    components: int = Field(default=8, description="production: 16 principal components")
    audit_fraction: float = Field(default=0.001, description="production: 50 parts a camera-day")
    buffer_fraction: float = Field(default=0.3, description="production: 0.1 of the images stay for labels and replay")

    def of_monitor(self) -> dict[str, Any]:
        """The monitor's settings that differ."""
        return {
            "rules": {
                "commissioning_windows": self.commissioning_windows,
                "commissioning_most_windows": self.commissioning_windows,
                "commissioning_cycle_hours": 0.0,
            },
            "labels": {"audit_fraction": self.audit_fraction},
            "rollout": {"approval": "automatic-after-shadow"},
            "orders": {"resend_seconds": 5.0},
        }

    def of_agent(self) -> dict[str, Any]:
        """The agent's settings that differ."""
        return {
            "production": False,
            "window": {"images": self.window_images},
            "buffer": {"random_fraction": self.buffer_fraction},
            "inspection": {"on_camera_fault": "model"},
        }

    def in_words(self) -> list[str]:
        """One sentence for each."""
        return [
            f"a window is {self.window_images} images (production: 60 seconds)",
            f"commissioning takes {self.commissioning_windows} windows a camera (production: a week or more)",
            f"the drift vector has {self.components} components of the embedding (production: 16)",
            f"a random {self.audit_fraction:.1%} of the parts are audited (production: about 50 a camera-day)",
            f"{self.buffer_fraction:.0%} of the images are kept for labels and replay (production: 10 %)",
            "who approves a release: automatic after shadow (production's default: a person)",
            "the line makes parts as fast as they can be inspected",
        ]


class Pace(Settings):
    """How long the chapters are."""

    quiet_windows: int = Field(default=50, description="windows a camera in control before anything is planted")
    nuisance_patience_windows: int = 12
    after_windows: int = Field(default=10, description="windows a camera to measure the new release with")
    withdrawal_patience_seconds: float = Field(default=240.0, description="for labels and overrides to add up")
    late_seconds: float = 1.0
    busy_parts_per_second: float = Field(default=120.0, description="while a training runs beside it")


LARGE = Pace(quiet_windows=25, busy_parts_per_second=5.0, withdrawal_patience_seconds=60.0)
"""For a backbone that the user brings: an image takes ten times as long as with the small one."""
FAST = Pace(quiet_windows=10, after_windows=3, late_seconds=0.3)
FAST_SHORTENED = Shortened(window_images=60, commissioning_windows=40)
