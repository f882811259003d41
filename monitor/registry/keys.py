"""The private keys of a registry: PEM files, the offline ones apart from the online ones.

    keys/offline/   root-1, root-2, root-3 (any two sign a new root), targets (signs which site has which key)
    keys/online/    snapshot, timestamp, site-NAME: the monitor needs these all the time

Offline keys may be encrypted with a passphrase. Nothing here ever prints or logs a key.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from contracts import ConfigurationError
from runtime.durable import write_durably

ROOT_KEYS = ("root-1", "root-2", "root-3")
ROOT_THRESHOLD = 2
TARGETS_KEY = "targets"

OFFLINE_README = """\
These are the offline keys of this Lineside registry. Move them away from this machine now:

- root-1.pem, root-2.pem, root-3.pem: to three different people or places. Any two of them can replace every other key;
  whoever has two of them can make every agent trust anything.
- targets.pem: needed to add a site and to renew the list of sites. Keep it with one of the root keys.

The monitor runs without this folder. Bring targets.pem back to add a site, and two root keys with targets.pem to renew
what expires (root and targets, three years after they were signed; the monitor says when). Lost keys cannot be made
again: with fewer than two root keys left, every agent has to be provisioned anew by hand.
"""


class KeyFolder:
    """PEM files of Ed25519 keys in one folder that only its owner may read."""

    def __init__(self, folder: Path, *, passphrase: bytes | None = None) -> None:
        self.folder = folder
        self._passphrase = passphrase

    def path(self, name: str) -> Path:
        """Where the key of that name lies."""
        return self.folder / f"{name}.pem"

    def create(self, name: str) -> CryptoSigner:
        """A new key under that name. Raises ConfigurationError when there is one already."""
        if self.path(name).exists():
            raise ConfigurationError(f"{self.path(name)} exists; a key is never overwritten")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = Ed25519PrivateKey.generate()
        write_durably(self.path(name), self._encoded(key), mode=0o600)
        return CryptoSigner(key)

    def signer(self, name: str) -> CryptoSigner:
        """The key of that name. Raises ConfigurationError when it is missing or does not open."""
        path = self.path(name)
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), self._passphrase)
        except OSError as error:
            raise ConfigurationError(f"cannot read the key {path} ({error.strerror}); bring it back first") from error
        except TypeError as error:  # encrypted without a passphrase given, or the other way round
            raise ConfigurationError(f"{path}: {error}; give the passphrase it was made with") from error
        except ValueError as error:
            raise ConfigurationError(f"{path} is no key, or the passphrase is wrong") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"{path} is not an Ed25519 key")
        return CryptoSigner(key)

    def names(self) -> tuple[str, ...]:
        """Names of the keys that are present."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.pem")))

    def _encoded(self, key: Ed25519PrivateKey) -> bytes:
        encryption = (
            serialization.BestAvailableEncryption(self._passphrase)
            if self._passphrase
            else serialization.NoEncryption()
        )
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
