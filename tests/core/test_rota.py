"""Who takes and who gives a connection: the replicas come to an even share, and then leave it at that."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.core.rota import SETTLED, Replica, assigned, to_give

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BEGAN = NOW - SETTLED
NAMES = [f"c{n}" for n in range(20)]
OWNERS = st.lists(st.sampled_from("abcd"), min_size=20, max_size=20)


def _replicas(owners: list[str], living: str) -> list[Replica]:
    owns = Counter(owners)
    return [Replica(owner, frozenset(NAMES), BEGAN, owns[owner]) for owner in living]


@given(OWNERS)
def test_what_a_dead_replica_leaves_is_shared_evenly(owners: list[str]) -> None:
    """Each free connection goes to somebody who lives; who owns more than another gets none before him.

    Fails when all replicas that look at once take everything.
    """
    living = _replicas(owners, "abc")
    free = [name for name, owner in zip(NAMES, owners, strict=True) if owner == "d"]
    turns = assigned(free, living)
    assert sorted(turns) == sorted(free)
    after = Counter([owner for owner in owners if owner != "d"]) + Counter(turns.values())
    got = {replica.owner for replica in living if replica.owner in turns.values()}
    assert all(after[owner] <= after[other] + 1 for owner in got for other in "abc")


@given(OWNERS)
def test_giving_ends_at_an_even_share(owners: list[str]) -> None:
    """One after the other gives until nobody owns two more than another; then nobody gives any more.

    Fails when a connection goes back and forth.
    """
    owned = dict(zip(NAMES, owners, strict=True))
    for _ in range(20 * 4):
        before = dict(owned)
        for me in "abcd":
            mine = [name for name, owner in owned.items() if owner == me]
            given_away = to_give(mine, me, _replicas(list(owned.values()), "abcd"), NOW)
            if given_away is not None:
                others = [r for r in _replicas(list(owned.values()), "abcd") if r.owner != me]
                owned[given_away] = assigned([given_away], others)[given_away]
        if owned == before:
            break
    counts = Counter(owned.values())
    assert owned == before
    assert max(counts[owner] for owner in "abcd") - min(counts[owner] for owner in "abcd") <= 1


def test_nobody_is_given_what_he_could_not_work_on() -> None:
    """A replica that was started without a set neither takes its connection nor has it given."""
    me, other = Replica("a", frozenset(NAMES), BEGAN, 5), Replica("b", frozenset(["c9"]), BEGAN, 0)
    assert to_give(["c1", "c2"], "a", [me, other], NOW) is None
    assert to_give(["c1", "c9"], "a", [me, other], NOW) == "c9"
    assert assigned(["c1", "c9"], [me, other]) == {"c1": "a", "c9": "b"}


def test_who_has_just_begun_is_given_nothing_yet() -> None:
    """A replica that dies at every start would take connections with it each time."""
    young = Replica("b", frozenset(NAMES), NOW - SETTLED + timedelta(seconds=1), 0)
    assert to_give(["c1"], "a", [Replica("a", frozenset(NAMES), BEGAN, 5), young], NOW) is None
