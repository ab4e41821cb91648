"""The simulation in the tests: so many stories, each of which must keep the laws; `make simulate` plays any number."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

STORIES = 100
PORTION = 10
"""Stories that one test plays, so that the tests' processes can share them."""


@pytest.mark.parametrize("first", range(1, STORIES + 1, PORTION))
async def test_every_story_keeps_the_laws(postgres_dsn: str, first: int) -> None:
    """Both sides agree, nothing is double, one more pass writes nothing; what breaks is printed with its seed."""
    code, told = await simulate(postgres_dsn, f"{first}-{first + PORTION - 1}", "--jobs", "1")
    assert code == 0, told


async def test_a_seed_tells_the_same_story_twice(postgres_dsn: str) -> None:
    """Down to every entry of the journal, at the same simulated moment; be it the first of its process or not."""
    told = [await simulate(postgres_dsn, seeds, "--digest", "--jobs", "1") for seeds in ("5-5", "4-5")]
    first, second = [answer.strip().splitlines()[-1] for _, answer in told]
    assert first == second
    assert first.startswith("seed 5: digest")


async def simulate(dsn: str, *arguments: str) -> tuple[int | None, str]:
    """What the command says, and how it ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.simulation",
        *arguments,
        env={**os.environ, "TEST_DATABASE_URL": dsn},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return process.returncode, told.decode()
