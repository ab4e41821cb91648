"""What a plan can say: the step, the write on either side, and what the brake counts of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from connector.core.merge import Decision, Parent, Verdict
from connector.core.model import Base, Json, LinkId, LinkState, Side
from connector.core.unseen import Overwrite


class Step(StrEnum):
    """What the engine does with a plan.

    done: keep the state, nothing to write · apply: write · adopt: read the other half, then plan again as a pair ·
    join: this CRM half is what an open intent made · wait · park: a person is needed · drop: the row is gone.
    """

    DONE = "done"
    APPLY = "apply"
    ADOPT = "adopt"
    JOIN = "join"
    MOVE = "move"
    WAIT = "wait"
    PARK = "park"
    DROP = "drop"


class Effect(StrEnum):
    """What the brake counts."""

    CREATE = "create"
    DELETE = "delete"
    CLEAR = "clear"
    OVERWRITE = "overwrite"


@dataclass(slots=True)
class InsertRow:
    """A new row for a CRM record."""

    columns: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """New values for some columns of a row whose mapped columns still hold what was observed."""

    columns: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class DeleteRow:
    """The row goes, as `deletes.receive` says."""


@dataclass(frozen=True, slots=True)
class CreateRecord:
    """A new CRM record for a row."""

    fields: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """New values for some fields of a CRM record. `rekey`: it gets the key of its own row in the place of another's."""

    fields: Mapping[str, Json]
    rekey: bool = False


@dataclass(frozen=True, slots=True)
class DeleteRecord:
    """The CRM record goes, as `deletes.send` says."""


RowAction = InsertRow | UpdateRow | DeleteRow


RecordAction = CreateRecord | UpdateRecord | DeleteRecord


@dataclass(slots=True)
class Plan:
    """What happens. `state` is the link's state once it has happened; `cause` names a wait, park or exclusion."""

    step: Step
    reason: str
    state: LinkState
    decisions: tuple[Decision, ...] = ()
    row: RowAction | None = None
    record: RecordAction | None = None
    cause: str | None = None
    parents: tuple[Parent, ...] = ()
    awaited: tuple[Parent, ...] = ()
    """Those of which any would let it pass its filter, once it belongs to the mapping that the filter names."""
    adopt: str | None = None
    join: LinkId | None = None
    behind: LinkId | None = None
    """The link whose outcome is waited for, or that has what this one would need."""
    died: Side | None = None
    restore: Mapping[str, str | None] = field(default_factory=dict)
    heir: str | None = None
    """The mapping to which the record goes; the link only remembers it from now on."""
    taker: str | None = None
    """The mapping of the same table to which the row goes."""
    bequest: Base | None = None
    """What is agreed on there already, if the record follows its row; the link only remembers it from now on."""
    widowed: bool = False
    """The row's record is no more: the link is the row's half again."""
    lost: Sequence[Overwrite] = ()
    """What our writes had put away unseen, as far as no decision speaks of it."""
    deferred_sends: bool = False
    """Sends exist but wait for the mapping's first fetch-all."""

    @property
    def releases(self) -> bool:
        """True when the record is another mapping's from now on."""
        return self.heir is not None or self.bequest is not None

    @property
    def keyed(self) -> bool:
        """True when the write to the CRM puts our key into the record."""
        return isinstance(self.record, CreateRecord) or (isinstance(self.record, UpdateRecord) and self.record.rekey)

    @property
    def effects(self) -> frozenset[tuple[Side, Effect]]:
        """What the brake counts in this plan, at most one of each kind on a side: it counts records."""
        found: set[tuple[Side, Effect]] = set()
        if isinstance(self.row, DeleteRow) or self.restore:
            found.add((Side.APP, Effect.DELETE))
        if isinstance(self.row, UpdateRow):
            found.update(self._of_lines(Side.APP))
        if isinstance(self.record, DeleteRecord):
            found.add((Side.CRM, Effect.DELETE))
        if isinstance(self.record, CreateRecord):
            found.add((Side.CRM, Effect.CREATE))
        if isinstance(self.record, UpdateRecord):
            found.update(self._of_lines(Side.CRM))
        return frozenset(found)

    def _of_lines(self, side: Side) -> Iterable[tuple[Side, Effect]]:
        return (found for d in self.decisions for found in line_effects(d) if found[0] is side)

    def words(self, effects: Collection[tuple[Side, Effect]]) -> frozenset[str]:
        """These of its effects as a release spells them: `crm_delete`; of a line with its name, `crm_clear phones`."""
        found: set[str] = set()
        for side, effect in self.effects & frozenset(effects):
            what = f"{side.value}_{effect.value}"
            of_lines = {word for d in self.decisions for word in line_words(d) if word.startswith(f"{what} ")}
            found |= of_lines or {what}
        return frozenset(found)

    @property
    def disputed(self) -> Sequence[Decision]:
        """The lines on which one side's value gives way."""
        return [d for d in self.decisions if d.loser is not None]

    @property
    def held(self) -> dict[str, str]:
        """Line → cause of the values that could not move."""
        return {d.line.name: d.cause for d in self.decisions if d.verdict is Verdict.HELD and d.cause is not None}

    def sends(self) -> tuple[Decision, ...]:
        """The lines that are written to the CRM."""
        return tuple(d for d in self.decisions if d.verdict is Verdict.SEND)


def line_effects(d: Decision) -> frozenset[tuple[Side, Effect]]:
    """What the brake counts of one line."""
    side = {Verdict.SEND: Side.CRM, Verdict.RECEIVE: Side.APP}.get(d.verdict)
    if side is None:
        return frozenset()
    kinds = ((Effect.CLEAR, d.clears), (Effect.OVERWRITE, d.overwrites))
    return frozenset((side, effect) for effect, so in kinds if so)


def line_words(d: Decision) -> frozenset[str]:
    """The same as a release spells it."""
    return frozenset(f"{side.value}_{effect.value} {d.line.name}" for side, effect in line_effects(d))


def excluded(cause: str, awaited: tuple[Parent, ...] = ()) -> Plan:
    """Nothing is made of this half; `cause` says why."""
    return Plan(Step.DONE, "excluded", LinkState.EXCLUDED, cause=cause, awaited=awaited)


def wait(cause: str) -> Plan:
    """Nothing yet; `cause` says what has to come first."""
    return Plan(Step.WAIT, cause, LinkState.OPEN, cause=cause)


def park(cause: str) -> Plan:
    """Nothing until a person has looked at `cause`."""
    return Plan(Step.PARK, cause, LinkState.OPEN, cause=cause)
