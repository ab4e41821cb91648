"""The net itself: every planted bug is found by the story that is known to find it."""

from __future__ import annotations

from tests.simulation.test_simulation import simulate


async def test_every_planted_bug_is_found(postgres_dsn: str) -> None:
    """A net that catches nothing proves nothing."""
    code, told = await simulate(postgres_dsn, "--planted", "--known")
    assert code == 0, told
