"""What happens in a story, step by step. Each step draws from its own dice, so that any may be left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random

from tests.simulation import mischief, spells
from tests.simulation.story import Story

GAPS = (0.0, 0.0, 0.005, 0.05, 0.3, 1.0, 5.0, 40.0)
STEP_KINDS: Mapping[str, tuple[int, Callable[[Story, Random], Awaitable[None]]]] = {
    "edit": (14, mischief.edit),
    "fault": (4, mischief.fault),
    "weather": (2, mischief.weather),
    "doom": (2, mischief.doom),
    "bury": (2, mischief.bury),
    "sweep": (1, mischief.sweep),
    "relief": (1, mischief.relief),
    "interrupt": (1, mischief.interrupt),
    "slow edit": (1, mischief.slow_edit),
    "files": (1, mischief.files),
    "revoked": (1, spells.revoked),
    "unpaid": (1, spells.unpaid),
    "fended off": (1, spells.fended_off),
    "hidden": (2, spells.hidden),
    "spent": (1, spells.spent),
    "banned": (1, spells.banned),
}


async def play(story: Story, steps: Sequence[int]) -> None:
    """Does what the steps say."""
    for number in steps:
        dice = Random(f"{story.seed}/{number}")
        await story.stage.pass_time(dice.choice(GAPS))
        name = dice.choices(list(STEP_KINDS), [weight for weight, _ in STEP_KINDS.values()])[0]
        story.note(f"step {number}: {name}")
        await STEP_KINDS[name][1](story, dice)
