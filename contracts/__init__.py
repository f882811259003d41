"""What one part of Lineside hands another: frozen, versioned values, checked once on arrival and trusted afterwards.

Reading order: `names` (identifiers and hashes), `tasks` (what a model answers beside the class), `frame` (what was
seen, what was decided, what turned out to be true), `part` (one decision out of several views), `answer` (what a line
is told), `preprocessing` (how an image becomes an input), `certificate` (evidence that a variant answers as the
model), `thresholds` (where a score becomes a decision), `bundle` (a certified model and everything needed to run it;
in it `signatures`, what camera faults do to its vectors), `channel` (which bundle a site should run, signed),
`telemetry` (what an agent reports), `upload` (an image handed over for labelling), `orders` (what a monitor asks),
`report` (figures of demos and benchmarks), `benchmark` (what a bundle costs on one machine), `figures` (the same for a
message and for the registry), `quality` (what is wrong with labelled images), `settings` (how a user's configuration
file is read), `access` (loopback and secrets), `errors` (one class for each reaction), `schema` (JSON schemas,
checked in).

Wire values tolerate unknown fields (a newer peer may send them); a user's configuration does not.
"""

from contracts.errors import (
    BundleError,
    ConfigurationError,
    DatasetError,
    LinesideError,
    LinkError,
    OrderError,
    QuotaError,
)

SCHEMA_VERSION = 1

__all__ = [
    "SCHEMA_VERSION",
    "BundleError",
    "ConfigurationError",
    "DatasetError",
    "LinesideError",
    "LinkError",
    "OrderError",
    "QuotaError",
]
