"""What happens in a story, step by step. Each step draws from its own dice, so that any may be left out.

No story has everything in it: each has some kinds of trouble and some deeds of people, and goes deeper into these (swarm
testing; Groce et al., ISSTA 2012).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tests.simulation import mischief, spells
from tests.simulation.people import DEEDS
from tests.simulation.story import Story

GAPS = (0.0, 0.0, 0.005, 0.05, 0.3, 1.0, 5.0, 40.0)
LENGTHS = (5, 10, 10, 15, 15, 20, 30)
TROUBLE, DEED = 0.5, 0.6
"""How likely a kind of step, or of deed, is in a story."""
STEP_KINDS: Mapping[str, tuple[int, Callable[[Story, Random], Awaitable[None]]]] = {
    "edit": (14, mischief.edit),
    "fault": (4, mischief.fault),
    "weather": (2, mischief.weather),
    "doom": (2, mischief.doom),
    "bury": (2, mischief.bury),
    "sweep": (1, mischief.sweep),
    "fetch all": (1, mischief.fetch_all),
    "relief": (1, mischief.relief),
    "interrupt": (1, mischief.interrupt),
    "slow edit": (1, mischief.slow_edit),
    "files": (1, mischief.files),
    "clocks": (1, mischief.clocks),
    "stopped": (2, spells.stopped),
    "revoked": (1, spells.revoked),
    "unpaid": (1, spells.unpaid),
    "fended off": (1, spells.fended_off),
    "hidden": (2, spells.hidden),
    "spent": (1, spells.spent),
    "banned": (1, spells.banned),
}


@dataclass(frozen=True, slots=True)
class Script:
    """What one story is made of."""

    length: int
    kinds: Sequence[str]
    deeds: frozenset[str]


def script(seed: int) -> Script:
    """The script of a seed."""
    dice = Random(f"{seed}/script")
    length = dice.choice(LENGTHS)
    kinds = [name for name in STEP_KINDS if name == "edit" or dice.random() < TROUBLE]
    deeds = frozenset(name for name in DEEDS if dice.random() < DEED)
    return Script(length, kinds, deeds)


async def play(story: Story, steps: Sequence[int]) -> None:
    """Does what the steps say."""
    told = script(story.seed)
    story.note(f"trouble: {', '.join(told.kinds[1:]) or 'none'}")
    story.people.habits = told.deeds
    for number in steps:
        dice = Random(f"{story.seed}/{number}")
        await story.stage.pass_time(dice.choice(GAPS))
        name = dice.choices(told.kinds, [STEP_KINDS[kind][0] for kind in told.kinds])[0]
        story.note(f"step {number}: {name}")
        story.happened[name] += 1
        await STEP_KINDS[name][1](story, dice)
