"""What is wrong on this station now: an English sentence for log and programs, with a code for every other language."""

from __future__ import annotations

from collections.abc import Mapping


class Trouble(str):
    """`code` and `parameters` say the same in any language (`web/texts`); `details` are the words of a library or of
    the operating system, which stay as they are."""

    code: str
    details: str
    parameters: Mapping[str, str]

    def __new__(cls, sentence: str, *, code: str, details: str = "", **parameters: object) -> Trouble:
        """Numbers become texts here, so that every language shows the same digits.

        >>> told = Trouble("no frames for 10 s", code="silent", seconds=10.0)
        >>> told, told.code, dict(told.parameters)
        ('no frames for 10 s', 'silent', {'seconds': '10'})
        """
        made = super().__new__(cls, sentence)
        made.code, made.details = code, details
        made.parameters = {
            name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in parameters.items()
        }
        return made

    def within(self, sentence: str, **parameters: object) -> Trouble:
        """The same trouble in a longer sentence, with more parameters."""
        return Trouble(sentence, code=self.code, details=self.details, **{**self.parameters, **parameters})
