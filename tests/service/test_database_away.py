"""While the database is away: answers are held, then given; what is not stored is remembered; never a 503."""

import asyncio

from connector.service.bodies import Limits
from connector.service.deliveries import Deliveries, Fate
from connector.store.db import Database, migrate
from connector.store.hints import hint_json
from connector.store.notes import Event
from tests.service.conftest import LIMITS, NOW, Post, hint, start
from tests.service.proxy import Proxy

IMPATIENT = Limits(hold_seconds=0.05, retry_seconds=0.005)


def event(number: int, text: str | None = None) -> Event:
    """An event of the person with this number."""
    return Event("acme", f"e{number}", "person", str(number), "changed", text or hint_json(hint(number)), NOW)


async def test_the_answer_is_held_for_the_return_of_the_database(proxy: Proxy) -> None:
    """Deliveries made during an outage shorter than the hold are stored, and no gap is told."""
    async with start(proxy.dsn) as post:
        proxy.pull()
        answers = [asyncio.create_task(post.deliver(number)) for number in range(20)]
        await proxy.refused.wait()
        assert not any(answer.done() for answer in answers)
        proxy.put_back()
        assert set(await asyncio.gather(*answers)) == {200}
        assert sorted(int(stored.crm_id) for stored in await post.stored()) == list(range(20))
        assert post.inbox.gaps.open == frozenset()


async def test_a_longer_outage_is_a_gap_told_on_return(proxy: Proxy) -> None:
    """After the hold the answer is 200; the gap is kept in memory until it can be told."""
    async with start(proxy.dsn, IMPATIENT) as post:
        proxy.pull()
        assert await post.deliver(1) == 200
        assert post.count("database_away") == 1
        proxy.refused.clear()
        await proxy.refused.wait()
        assert post.told.empty()
        proxy.put_back()
        assert await post.gap() == ("acme", "database_away")
        assert await post.deliver(2) == 200
        assert [stored.crm_id for stored in await post.stored()] == ["2"]


async def test_a_database_that_hangs_holds_nobody_longer(proxy: Proxy) -> None:
    """Connections that stay open and answer nothing are an outage too."""
    async with start(proxy.dsn, IMPATIENT) as post:
        proxy.hang()
        assert set(await asyncio.gather(*(post.deliver(number) for number in range(5)))) == {200}
        assert post.count("database_away") == 5
        proxy.pull()
        proxy.put_back()
        assert await post.gap() == ("acme", "database_away")


async def test_a_session_that_hangs_is_left_behind(proxy: Proxy) -> None:
    """Where new connections work, deliveries are stored again while the old session still hangs."""
    async with start(proxy.dsn, IMPATIENT) as post:
        proxy.hang()
        fresh = await Database.connect(proxy.dsn)
        while not await post.stored_in(fresh):
            assert await post.deliver(1) == 200
        await fresh.close()
        proxy.pull()
        proxy.put_back()


async def test_terminated_sessions_lose_nothing(post: Post) -> None:
    """A restart of the server between two deliveries shows in no answer."""
    assert await post.deliver(1) == 200
    async with post.database.session() as db:
        await db.fetch("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
    assert await post.deliver(2) == 200
    assert [stored.crm_id for stored in await post.stored()] == ["1", "2"]


async def test_a_delivery_that_cannot_be_stored_fails_alone(database: str) -> None:
    """What PostgreSQL refuses leaves the neighbours of its batch stored."""
    opened = await Database.connect(database)
    await migrate(opened)
    deliveries = Deliveries(opened, LIMITS)
    good, bad = [event(1), event(2)], [event(3), event(4, "not json")]
    fates = await asyncio.gather(*(deliveries.store(delivery) for delivery in ([event(0)], good, bad, [event(5)])))
    assert fates == [Fate.STORED, Fate.STORED, Fate.UNSTORABLE, Fate.STORED]
    async with opened.session() as db:
        assert await db.fetchval("select string_agg(crm_id, ',' order by id) from connector.event") == "0,1,2,5"
    await deliveries.close()
    await opened.close()


async def test_large_batches_are_cut(database: str) -> None:
    """More than a statement should hold is stored all the same."""
    opened = await Database.connect(database)
    await migrate(opened)
    deliveries = Deliveries(opened, LIMITS)
    large = hint_json(hint(1, values={"note": "x" * (3 << 20)}))
    fates = await asyncio.gather(*(deliveries.store([event(number, large)]) for number in range(8)))
    assert set(fates) == {Fate.STORED}
    async with opened.session() as db:
        assert await db.fetchval("select count(*) from connector.event") == 8
    await deliveries.close()
    await opened.close()
