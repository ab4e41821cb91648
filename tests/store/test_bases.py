"""Bases as they are stored: lossless, and old ones are read on."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from connector.core.model import CrmId, LinkId, Pair
from connector.store.db import Database, migrations
from connector.store.links import base_json, base_of, by_id, glance
from tests.store.test_hints import texts, values

bases = st.dictionaries(texts, st.builds(Pair, values, values, texts), max_size=4)


@given(bases)
def test_a_base_survives_the_round_trip(base: Mapping[str, Pair]) -> None:
    """Every value as it was, whole numbers beyond 64 bits among them, which the fast encoder does not know."""
    assert base_of(base_json(base)) == base


async def test_a_base_of_an_older_release_is_read_on(database: str) -> None:
    """It named its parts, which the migration takes out; an empty one stays empty."""
    opened = await Database.connect(database)
    older = [sql for number, _, sql in migrations() if number < 9]
    newer = [sql for number, _, sql in migrations() if number >= 9]
    async with opened.session() as db:
        await db.execute("create schema connector; create table connector.migration (number integer primary key)")
        for sql in older:
            await db.execute(sql)
        await db.execute(
            """insert into connector.link (connection, object, crm_id, origin, first_seen_at, base) values
               ('acme', 'person', '1', 'crm', now(), '{"name": {"app": "Ann", "crm": ["Ann", null], "rule": "r"}}'),
               ('acme', 'person', '2', 'crm', now(), '{}')"""
        )
        for sql in newer:
            await db.execute(sql)
        seen = await glance(db, "acme", "person", [CrmId("1"), CrmId("2")])
        links = await by_id(db, [LinkId(link.id) for link in seen.values()])
    await opened.close()
    assert seen[CrmId("1")].agreed == {"name": ["Ann", ["Ann", None], "r"]}
    assert links[seen[CrmId("1")].id].base == {"name": Pair("Ann", ["Ann", None], "r")}
    assert links[seen[CrmId("2")].id].base == {}
