"""Topics that say what an image is of: `plant/{camera}/image/{part_id}`. MQTT 3.1.1 has no other place for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PLACES = ("{camera}", "{product}", "{part_id}")


@dataclass(frozen=True)
class Template:
    """A topic whose whole levels may be places. Raises ValueError where it is none.

    >>> Template("plant/{camera}/image/{part_id}").read("plant/cam-1/image/P-17")
    {'camera': 'cam-1', 'part_id': 'P-17'}
    >>> Template("plant/{camera}/image").read("plant/cam-1/other") is None
    True
    """

    text: str

    def __post_init__(self) -> None:
        levels = self.text.split("/")
        places = [level for level in levels if level in PLACES]
        if not self.text or len(set(places)) != len(places):
            raise ValueError("a topic is not empty and names each place once")
        for level in levels:
            if level not in PLACES and any(sign in level for sign in "{}+#\0"):
                raise ValueError(f"level {level!r} of the topic: a level is plain text or one of {', '.join(PLACES)}")
        if levels[0].startswith("$"):
            raise ValueError("topics that begin with $ are the broker's own")

    @property
    def filter(self) -> str:
        """What to subscribe to.

        >>> Template("plant/{camera}/image/{part_id}").filter
        'plant/+/image/+'
        """
        return "/".join("+" if level in PLACES else level for level in self.text.split("/"))

    def read(self, topic: str) -> dict[str, str] | None:
        """What the places are in a topic; None where it is another one."""
        mine, theirs = self.text.split("/"), topic.split("/")
        if len(mine) != len(theirs):
            return None
        if any(level not in PLACES and level != given for level, given in zip(mine, theirs, strict=True)):
            return None
        return {level[1:-1]: given for level, given in zip(mine, theirs, strict=True) if level in PLACES}

    def fill(self, values: Mapping[str, str]) -> str:
        """The topic with these values in its places."""
        return "/".join(values[level[1:-1]] if level in PLACES else level for level in self.text.split("/"))

    def meets(self, other: Template) -> bool:
        """Whether some topic belongs to both.

        >>> Template("a/{camera}").meets(Template("a/b")), Template("a/{camera}").meets(Template("b/{camera}"))
        (True, False)
        """
        mine, theirs = self.text.split("/"), other.text.split("/")
        return len(mine) == len(theirs) and all(
            a == b or a in PLACES or b in PLACES for a, b in zip(mine, theirs, strict=True)
        )
