"""Random draws that anyone can repeat: a part's number between 0 and 1 depends on its id and a purpose, nothing else.

What a model answered cannot influence such a draw, and asking twice gives the same answer.
"""

from __future__ import annotations

import hashlib


def draw(purpose: str, part_id: str) -> float:
    """Uniform over 0 <= x < 1 over parts; independent between purposes.

    >>> draw("buffer", "part-1") == draw("buffer", "part-1")
    True
    >>> 0.0 <= draw("audit", "part-1") < 1.0
    True
    """
    digest = hashlib.blake2b(f"{purpose}\0{part_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
