"""Newcomers: records that a page is the first to meet.

Their links are stored by the commit that says what became of them: a first load writes each link once. Until then the
page holds them here. Whoever learns more of one takes it out, and the page leaves it to him.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from connector.core.model import CrmId, LinkId

REMEMBERED = timedelta(minutes=10)
"""Longer than a page is on its way."""


class Newcomers:
    """By object and id: under which number of a link, and since when read, a page holds a record; and which are gone."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, CrmId], tuple[LinkId, datetime]] = {}
        self._gone: dict[tuple[str, CrmId], datetime] = {}

    def meet(self, name: str, records: Mapping[CrmId, LinkId], began: datetime) -> Mapping[LinkId, CrmId]:
        """Takes records into the hands of a page that was read from `began` on: not what another holds, nor what went since."""
        mine: dict[LinkId, CrmId] = {}
        for crm_id, number in records.items():
            key = name, crm_id
            if key not in self._held and self._gone.get(key, began) <= began:
                self._held[key] = number, began
                mine[number] = crm_id
        return mine

    def among(self, name: str, ids: Iterable[CrmId], began: datetime) -> Mapping[CrmId, bool]:
        """Which of these a page holds, and whether it was read before `began`."""
        return {i: self._held[name, i][1] < began for i in ids if (name, i) in self._held}

    def holds(self, name: str, crm_id: CrmId, number: LinkId) -> bool:
        """True while nobody has taken the record from the page that gave it this number."""
        return self._held.get((name, crm_id), (None,))[0] == number

    def leave(self, name: str, records: Mapping[LinkId, CrmId]) -> None:
        """The page is done with them."""
        for number, crm_id in records.items():
            if self.holds(name, crm_id, number):
                del self._held[name, crm_id]

    def take(self, name: str, ids: Iterable[CrmId]) -> None:
        """Somebody else knows better."""
        for crm_id in ids:
            self._held.pop((name, crm_id), None)

    def lose(self, name: str, ids: Iterable[CrmId], now: datetime) -> None:
        """They were deleted or merged: a page that was read before knows nothing of it."""
        gone = [(name, crm_id) for crm_id in ids]
        self.take(name, [crm_id for _, crm_id in gone])
        self._gone = {key: at for key, at in self._gone.items() if at > now - REMEMBERED} | dict.fromkeys(gone, now)
