"""What cameras showed in focus, remembered over restarts: a station that starts with a blurred camera still knows."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from drift.focus import FocusReference
from edge_agent.store import Store

_PREFIX = "focus/"


class FocusBook(MutableMapping[str, FocusReference]):
    """The references of one camera, by product; each is read from the store once."""

    def __init__(self, store: Store, camera: str) -> None:
        self._store, self._prefix = store, f"{_PREFIX}{camera}/"
        self._known = {
            row["name"].removeprefix(self._prefix): FocusReference.model_validate_json(row["value"])
            for row in _rows(store, self._prefix)
        }

    def __getitem__(self, product: str) -> FocusReference:
        return self._known[product]

    def __setitem__(self, product: str, reference: FocusReference) -> None:
        self._store.remember(self._prefix + product, reference.model_dump_json())
        self._known[product] = reference

    def __delitem__(self, product: str) -> None:
        del self._known[product]
        _forget(self._store, self._prefix + product)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def forget_focus(store: Store) -> None:
    """Forget what was learned of every camera: it is learned anew."""
    for row in _rows(store, _PREFIX):
        _forget(store, row["name"])


def _rows(store: Store, prefix: str) -> list[dict[str, str]]:
    found = store.rows("SELECT name, value FROM facts WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
    return [{"name": row["name"], "value": row["value"]} for row in found]


def _forget(store: Store, name: str) -> None:
    with store.transaction() as db:
        db.execute("DELETE FROM facts WHERE name = ?", (name,))
