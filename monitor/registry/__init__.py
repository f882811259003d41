"""The registry: takes bundles and channels that the gate let through, hands signed files to agents over plain HTTP.

Reading order: `keys` (PEM files, offline and online), `metadata` (the signed files and the order in which they are
written), `workplace` (locked changes), `ceremony` (what needs offline keys and a person), `carrying` (copies for sites
without a network), `repository` (`Registry`: what may be published).
"""

from monitor.registry.metadata import Lifetimes
from monitor.registry.repository import Registry

__all__ = ["Lifetimes", "Registry"]
