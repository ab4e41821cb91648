"""The world without HTTP: pure, repeatable, with lists that cost what they show."""

import json
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.api import Api
from connector.sandbox.calls import Request
from connector.sandbox.company import Clock, Company
from connector.sandbox.limits import Limits
from connector.sandbox.table import Query, Table
from connector.sandbox.wire import Record
from connector.sandbox.world import World
from tests.sandbox.conftest import Ticker


def simulated(seed: int = 4) -> tuple[Api, Ticker]:
    """Give an API in memory on a clock of one's own."""
    ticker = Ticker()
    company = Company(World(seed), Clock(ticker))
    company.do(company.admin(), "sandbox.found", 6, seed)
    return Api(company, Limits(), ticker), ticker


def ask(api: Api, method: str, path: str, body: Any = None, **query: str) -> Any:
    """Call the API as a function."""
    token = next(iter(api.company.world.users.values())).token
    raw = b"" if body is None else json.dumps(body).encode()
    return json.loads(api.answer(Request(method, path, query, {"x-api-token": token}, raw)).body)


def story(api: Api, ticker: Ticker) -> list[Any]:
    """Do a few things; give what was answered and what webhooks are owed."""
    hook = {"subscription_url": "http://x.test/h", "event_action": "*", "event_object": "*", "name": "n"}
    said = [ask(api, "POST", "/v1/webhooks", hook)]
    for number in range(3):
        ticker.tick()
        said.append(ask(api, "POST", "/api/v2/persons", {"name": f"P {number}"}))
        said.append(ask(api, "PATCH", "/api/v2/deals/1", {"value": number}))
    return [*said, *(delivery.payload for delivery in api.company.outbox)]


def test_a_simulation_repeats_itself() -> None:
    """Equal seeds, clocks and calls: equal answers, ids, keys and webhooks, to the last byte."""
    first, second = story(*simulated()), story(*simulated())
    assert first == second
    assert [each["meta"]["action"] for each in first if "meta" in each].count("create") == 3


def test_a_command_stands_at_its_time() -> None:
    """The injected clock is the only one."""
    api, ticker = simulated()
    ticker.now += timedelta(days=365)
    made = ask(api, "POST", "/api/v2/organizations", {"name": "O"})["data"]
    assert made["add_time"] == made["update_time"] == "2027-11-20T10:00:00Z"


def _row(key: int, stamp: int, standing: int) -> Record:
    deleted, archived = standing == 2, standing == 1
    time = f"2026-01-01T00:00:{stamp:02d}Z"
    return {"id": key, "update_time": time, "add_time": time, "is_deleted": deleted, "is_archived": archived}


_STEPS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 9), st.integers(0, 2)), max_size=40)


@given(
    steps=_STEPS,
    sort_by=st.sampled_from(("id", "update_time", "add_time")),
    descending=st.booleans(),
    limit=st.integers(1, 5),
    window=st.tuples(st.integers(0, 9), st.integers(0, 9)) | st.none(),
)
def test_a_table_lists_what_it_holds(
    steps: list[tuple[int, int, int]],
    sort_by: str,
    descending: bool,  # noqa: FBT001
    limit: int,
    window: tuple[int, int] | None,
) -> None:
    """Against the naive answer, whatever was put and replaced before, on every shelf mix, page by page."""
    table = Table()
    for key, stamp, standing in steps:
        table.put(_row(key, stamp, standing))
    since, until = (f"2026-01-01T00:00:{at:02d}Z" for at in window) if window else (None, None)
    found, after, more = [], None, True
    while more:
        query = Query(("live", "deleted"), sort_by, descending, after, limit, since, until)
        rows, more = table.select(query)
        found += [row.record for row in rows]
        after = (rows[-1].record[sort_by], rows[-1].record["id"]) if rows else None
    kept = [r for r in table.records() if not r["is_archived"]]
    inside = [r for r in kept if (since or "") <= r["update_time"] < (until or "9")]
    assert found == sorted(inside, key=lambda r: (r[sort_by], r["id"]), reverse=descending)


def test_a_page_costs_in_the_size_of_the_page() -> None:
    """Also at the end of a large table, in any indexed order and for a recent sweep."""
    table = Table()
    for key in range(1, 20_001):
        table.put(_row(key, key * 60 // 20_001, 0))
    touched: list[int] = []

    def touch(record: Record) -> bool:
        touched.append(record["id"])
        return True

    for sort_by in ("id", "update_time", "add_time"):
        last = table.rows[19_990].record
        touched.clear()
        table.select(Query(sort_by=sort_by, after=(last[sort_by], last["id"]), limit=10, where=touch))
        assert len(touched) == 10
    touched.clear()
    table.select(Query(since="2026-01-01T00:00:59Z", limit=10, where=touch))
    assert len(touched) == 11
