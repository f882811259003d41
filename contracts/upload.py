"""How an agent hands an image over for labelling: `POST /v1/images` at the monitor, `multipart/form-data`.

Two parts: `upload` (this value as JSON) and `image` (the file as it was kept). The agent's token travels as
`Authorization: Bearer TOKEN`. Answers: 2xx or 409 (has it already) end the upload; 400, 404, 413, 415 and 422 end it as
refused; everything else is tried again later.
"""

from __future__ import annotations

from typing import Literal

from contracts.frame import OutcomeSource, Verdict
from contracts.names import Identifier, Name, Wire


class ImageUpload(Wire):
    """What the monitor learns with the image. `source` says how it was drawn: `audit` and `drift-sample` are random
    draws by part id; `atypical`, `unsure` and `overruled` ones were picked, on orders that ask for them. One part is
    uploaded at most once, whatever asked for it."""

    schema_version: Literal[1] = 1
    site: Name
    agent: Name
    source: OutcomeSource
    order_id: Identifier | None = None
    verdict: Verdict
