"""When mass change is too much."""

from __future__ import annotations

from connector.core.mapping import BrakeSpec
from connector.core.plan import Effect

SIDES = {"app": "the app", "crm": "the CRM"}


def exceeded(spec: BrakeSpec, effect: Effect, records: int, links: int) -> bool:
    """True when so many records in an hour go beyond the limits of a mapping with so many links.

    Creates: more than `records` and more than `percent` of the links. Deletes, clears and first-sight overwrites: more
    than `percent` of the links and more than min(`records`, max(10, links ÷ 4)).
    """
    share = records > links * spec.percent / 100
    if effect is Effect.CREATE:
        return share and records > spec.records
    return share and records > min(spec.records, max(10, links // 4))


def said(word: str) -> str:
    """What is stopped, for people: `crm_clear phones` is `clear phones in the CRM`."""
    side, _, what = word.partition("_")
    return f"{what} in {SIDES.get(side, side)}"
