"""The golden table of whole records: tests/scenarios/records/*.yaml against the real plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from connector.core.model import CrmId, Gone, LinkState, Moved, NotVisible, Observed, Side
from connector.core.plan import DeleteRecord, DeleteRow, InsertRow, Plan, Situation, Step, UpdateRow, plan
from tests.core.people import Couple, mapping

SCENARIOS: Final = Path(__file__).parents[1] / "scenarios" / "records"
WORDS: Final = {
    DeleteRow: "deleted",
    DeleteRecord: "deleted",
    InsertRow: "made",
    UpdateRow: "updated",
    type(None): "kept",
}
ANSWERS: Final[Mapping[str, Observed]] = {
    "gone": Gone("is_deleted"),
    "hidden": NotVisible(),
    "merged": Moved(CrmId("9")),
    "merged into one with a row": Gone("merged"),
    "merged into one with an edited row": Gone("merged"),
}


def _cases() -> dict[str, dict[str, Any]]:
    yaml = YAML(typ="safe", pure=True)
    return {case["name"]: case for file in sorted(SCENARIOS.glob("*.yaml")) for case in yaml.load(file)}


CASES: Final = _cases()


def _situation(case: Mapping[str, Any]) -> Situation:
    keys = {"direction": "both", "only": {"receive": {"job": "staff"}}, **case["mapping"]}
    head = "".join(f"{name}: {value}\n" for name, value in keys.items())
    bound = mapping(f"{head}fields:\n  - {{column: name, crm: name}}\n".replace("'", ""))
    job = "guest" if case["record"].startswith("left") else "staff"
    couple = Couple(bound, {"name": "Ada"}, {"name": "Ada", "job": job}).agreed()
    couple = replace(couple, columns={"name": "Ada Byron"}) if case["row"] == "edited" else couple
    died = Side(case["died"]) if "died" in case else None
    seen = couple.situation()
    return replace(
        seen,
        link=replace(couple.link, state=LinkState(case["link"]), died=died),
        row=None if case["row"] == "gone" else seen.row,
        crm=ANSWERS.get(case["record"], seen.crm),
        contested=case["record"] == "merged into one with an edited row",
        newer=case["record"] == "restored",
        heir="customers" if case["record"] == "left for another mapping" else None,
    )


def _then(found: Plan) -> dict[str, str]:
    if found.step is Step.PARK:
        return {"parked": str(found.cause)}
    told = {"row": WORDS[type(found.row)], "record": WORDS[type(found.record)], "link": found.state.value}
    return told | ({"left_to": found.heir} if found.heir is not None else {})


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_table_says_what_becomes_of_a_pair(case: dict[str, Any]) -> None:
    """Reason, what happens to either side, and the link are as written."""
    found = plan(_situation(case))
    assert found.reason == case["reason"]
    assert _then(found) == case["then"]
