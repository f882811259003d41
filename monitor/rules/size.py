"""The size that a camera's pictures have had as long as all was well: another one is another set-up."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Size = tuple[int, int]
"""Width and height in pixels."""


class UsualSize(BaseModel):
    """`size` is None while no window told it. A camera whose pictures differ has no usual size."""

    model_config = ConfigDict(frozen=True)

    size: Size | None = None
    varies: bool = False

    def with_one(self, size: Size | None) -> UsualSize:
        """After one more window in which all was well; None: its pictures differ, or it does not tell.

        >>> UsualSize().with_one((64, 48)).with_one((64, 48)).differs((32, 48))
        True
        >>> UsualSize().with_one((64, 48)).with_one((32, 48)).differs((16, 48))
        False
        """
        if self.varies or size == self.size:
            return self
        return UsualSize(size=size) if self.size is None else UsualSize(varies=True)

    def differs(self, size: Size | None) -> bool:
        """Whether a size is known to be another than the usual one."""
        return self.size is not None and size is not None and size != self.size
