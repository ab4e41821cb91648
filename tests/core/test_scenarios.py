"""The golden decision table: tests/scenarios/*.yaml against the real merge and plan, through lines that bind made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from connector.core.merge import OSCILLATION, Decision, Parent, Reason
from connector.core.model import Clocks, Json, OpenConflict, Pair, Side
from connector.core.plan import Plan
from tests.core.people import NOW, SCORE, TIER, Couple, mapping

SCENARIOS = Path(__file__).parents[1] / "scenarios"
LINES: Mapping[str, tuple[str, str, str]] = {
    "name": ("name", "name", "{column: name, crm: name"),
    "tier": ("tier", TIER, "{column: tier, crm: Tier, values: {gold: Gold, silver: Silver}"),
    "score": ("score", SCORE, "{column: score, crm: Score"),
    "company": ("company_id", "org_id", "{column: company_id, crm: org_id, link: company"),
    "owner": ("owner", "owner_id", "{column: owner, crm: owner_id, as: user_email"),
}
"""Name in the table → column, field key, and the line as an admin writes it, still open."""


def _cases() -> dict[str, dict[str, Any]]:
    yaml = YAML(typ="safe", pure=True)
    files = sorted(SCENARIOS.glob("*.yaml"))
    return {f"{file.stem}: {case['name']}": case for file in files for case in yaml.load(file)}


CASES = _cases()


def _couple(case: Mapping[str, Any]) -> Couple:
    column, key, line = LINES[case.get("line", "name")]
    written = "".join(f", {name}: {value}" for name, value in case.get("rule", {}).items())
    options = {"direction": case.get("object", "both"), **case.get("mapping", {})}
    head = "".join(f"{name}: {value}\n" for name, value in options.items())
    bound = mapping(f"{head}fields:\n  - {line}{written}}}\n  - {{column: status, crm: job}}\n")
    fields = {key: case["crm"]} if "crm" in case else {}
    couple = Couple(bound, {column: case["app"]}, fields, clocks=_clocks(case, column, key))
    base = case.get("base")
    couple = couple if base is None else couple.based({column: base["app"]}, {key: base["crm"]})
    couple = couple if base is None or "rule" not in base else _of_rule(couple, base["rule"])
    if case.get("restored"):
        couple = replace(couple, link=replace(couple.link, lost_since=datetime(2026, 1, 1, tzinfo=UTC)))
    couple = _asked(couple, **case["open"]) if "open" in case else couple
    couple = _swinging(couple) if "oscillating" in case else couple
    away, dead = _parents(case, "unreachable"), _parents(case, "dead")
    braked = frozenset(case.get("braked", ()))
    return replace(couple, unreachable=away, dead=dead, archived=case.get("archived", False), braked=braked)


def _parents(case: Mapping[str, Any], word: str) -> frozenset[Parent]:
    return frozenset(Parent("company", Side(side), key) for side, key in case.get(word, {}).items())


def _asked(couple: Couple, app: Json, crm: Json, keep: str | None = None, overwritten: bool = False) -> Couple:  # noqa: FBT001, FBT002
    """The couple after a person was shown the conflict, and chose."""
    side = Side(keep) if keep is not None else None
    shown = OpenConflict(app, crm, NOW, overwritten=overwritten, keep=side)
    return replace(couple, link=replace(couple.link, conflicts={couple.mapping.lines[0].name: shown}))


def _swinging(couple: Couple) -> Couple:
    held = {couple.mapping.lines[0].name: OSCILLATION}
    return replace(couple, link=replace(couple.link, held=held))


def _of_rule(couple: Couple, rule: str) -> Couple:
    base = {name: Pair(pair.app, pair.crm, rule) for name, pair in couple.link.base.items()}
    return replace(couple, link=replace(couple.link, base=base))


def _clocks(case: Mapping[str, Any], column: str, key: str) -> Clocks:
    clock, record = _times(case.get("clock", {})), _times(case.get("record_clock", {}))
    return Clocks(
        {column: clock["app"]} if "app" in clock else {},
        {key: clock["crm"]} if "crm" in clock else {},
        record.get("app"),
        record.get("crm"),
        band=float(case.get("band", 1)),
    )


def _times(given: Mapping[str, str]) -> dict[str, datetime]:
    return {side: datetime.fromisoformat(f"2026-05-04T{time}+00:00") for side, time in given.items()}


def _decided(couple: Couple, found: Plan) -> Decision | None:
    return next((d for d in found.decisions if d.line.name != "job"), None)


def _parent(decision: Decision | None) -> dict[str, str] | None:
    parent = decision.parent if decision else None
    return {parent.side.value: parent.key} if parent else None


def _held(couple: Couple, case: Mapping[str, Any]) -> dict[str, Json]:
    column, key, _ = LINES[case.get("line", "name")]
    crm = {"crm": couple.fields[key]} if key in couple.fields else {}
    return {"app": couple.columns[column], **crm}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_table_says_what_the_engine_does(case: dict[str, Any]) -> None:
    """Decision, reason, cause, loser and what the brake counts are as written; so is what both sides hold now and afterwards."""
    couple = _couple(case)
    found = couple.plan()
    decision = _decided(couple, found)
    assert (decision.verdict.value if decision else "no line") == case["decision"]
    assert (decision.reason.value if decision else None) == case.get("reason")
    assert (decision.loser.value if decision and decision.loser and "loser" in case else None) == case.get("loser")
    assert (decision.cause if decision else None) == case.get("cause")
    assert _parent(decision) == case.get("parent")
    if decision is not None and "open" not in case:
        read = decision.line.converter
        assert (decision.app, decision.crm) == (read.read_app(couple.row.columns), read.read_crm(couple.fields))
    if "brake" in case:
        assert [effect.value for _, effect in found.effects] == [case["brake"]]
    assert _held(couple.applied(found), case) == case["then"]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_more_pass_does_nothing(case: dict[str, Any]) -> None:
    """Whatever was decided, the same rule finds nothing to write when it has happened."""
    done = _couple(case)
    again = done.applied(done.plan())
    found = again.plan()
    assert (found.row, found.record) == (None, None)


def test_every_reason_of_the_engine_is_in_the_table() -> None:
    """An admin finds each word of `explain` in the table."""
    assert {case["reason"] for case in CASES.values() if "reason" in case} == {reason.value for reason in Reason}
