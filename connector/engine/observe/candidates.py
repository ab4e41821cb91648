"""Candidates: rows and records of the other side with an equal match key, found for a whole batch at once.

Records are found by their keyed hashes, which are kept for all records of an object; rows by SQL over the match columns,
and compared again by the same keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from connector.core import match
from connector.core.line import BoundMapping, Refs, UnresolvedError
from connector.core.match import MatchKey
from connector.core.model import AppKey, CrmId, Link, LinkId, Record, Row, Side
from connector.core.plan import Candidate
from connector.engine.context import Context
from connector.engine.observe.case import Case
from connector.local import tables
from connector.local.catalogue import quote_ident
from connector.store import links, match_keys
from connector.store.db import Connection


async def find_candidates(context: Context, db: Connection, cases: Sequence[Case], refs: Refs) -> None:
    """Gives every half-open case its match keys and the candidates of the other side; and looks back from who took one."""
    halves = [case for case in cases if case.link.half and case.mapping is not None and case.mapping.match]
    for case in halves:
        _give_keys(context, case, refs)
    await _records_for_rows(context, db, [case for case in halves if case.link.crm_id is None and case.hashes])
    await _rows_for_records(context, db, [case for case in halves if case.link.app_key is None and case.hashes], refs)
    matched = [case for case in cases if case.adopted is not None and not all(c.linked for c in case.candidates)]
    await _find_peers(context, db, matched, refs)


def _give_keys(context: Context, case: Case, refs: Refs) -> None:
    name = case.mapping.name if case.mapping is not None else ""
    found = None if case.fresh else case.known_keys.get(name)
    known = found or {context.hash_of(name, key): key for key in _keys(case, refs)}
    case.keys, case.hashes = tuple(known.values()), list(known)


def _keys(case: Case, refs: Refs) -> Sequence[MatchKey]:
    if case.mapping is None:
        return ()
    if isinstance(case.crm, Record):
        return match.crm_keys(case.mapping, case.crm.fields, case.crm.id)
    return _row_keys(case, refs)


def _row_keys(case: Case, refs: Refs) -> Sequence[MatchKey]:
    return _app_keys(case.mapping, case.row, refs) if case.mapping is not None and case.row is not None else ()


def _app_keys(mapping: BoundMapping, row: Row, refs: Refs) -> Sequence[MatchKey]:
    """None while a reference among the keys is half open: the case waits for that parent anyway."""
    try:
        return match.app_keys(mapping, row.columns, refs)
    except UnresolvedError:
        return ()


async def _records_for_rows(context: Context, db: Connection, cases: Sequence[Case]) -> None:
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.link.object].append(case)
    for name, group in groups.items():
        wanted = sorted({hash_ for case in group for hash_ in case.hashes})
        found = await match_keys.find(db, context.name, name, wanted)
        for case in group:
            hits = dict(hit for hash_ in case.hashes for hit in found.get(hash_, ()))
            case.candidates = tuple(Candidate(crm_id, owner) for crm_id, owner in sorted(hits.items()))


async def _rows_for_records(context: Context, db: Connection, cases: Sequence[Case], refs: Refs) -> None:
    for group in _alike(cases):
        mapping = group[0].mapping
        if mapping is not None:
            await _rows_for_mapping(context, db, mapping, group, refs)


async def _rows_for_mapping(
    context: Context, db: Connection, mapping: BoundMapping, group: Sequence[Case], refs: Refs
) -> None:
    by_hash, owners = await _rows_by_hash(context, db, mapping, group, refs)
    for case in group:
        keys = sorted({key for hash_ in case.hashes for key in by_hash.get(hash_, ())})
        case.candidates = tuple(_row_candidate(key, owners.get(key)) for key in keys)


def _row_candidate(key: AppKey, owner: Link | None) -> Candidate:
    if owner is None:
        return Candidate(key)
    return Candidate(key, _living(owner), owner.restore, widowed=owner.crm_id is not None and owner.widow is Side.APP)


def _living(owner: Link | None) -> LinkId | None:
    """The row's link, unless its record is gone."""
    lives = owner is not None and owner.crm_id is not None and owner.widow is not Side.APP
    return owner.id if owner is not None and lives else None


async def _rows_by_hash(
    context: Context, db: Connection, mapping: BoundMapping, group: Sequence[Case], refs: Refs
) -> tuple[Mapping[bytes, set[AppKey]], Mapping[AppKey, Link]]:
    """The rows that have one of the cases' keys, by hash; and the links that some of them have."""
    rows = await _search(db, mapping, group, refs)
    by_hash: dict[bytes, set[AppKey]] = defaultdict(set)
    for row in rows.values():
        for key in _app_keys(mapping, row, refs):
            by_hash[context.hash_of(mapping.name, key)].add(row.key)
    return by_hash, await links.by_app(db, context.name, mapping.name, sorted(rows)) if rows else {}


async def _find_peers(context: Context, db: Connection, cases: Sequence[Case], refs: Refs) -> None:
    """Tells every case that took its sole candidate whether that one in turn could mean another half.

    A case has the keys of both halves from then on, so that two which take the same half hold one in common.
    """
    for group in _alike([case for case in cases if case.adopted is Side.APP]):
        theirs = _take_keys(context, group, refs)
        found = await match_keys.find(db, context.name, group[0].link.object, sorted(set().union(*theirs)))
        for case, hashes in zip(group, theirs, strict=True):
            hits = {hit for hash_ in hashes for hit in found.get(hash_, ())}
            case.peers = any(owner is None and crm_id != case.link.crm_id for crm_id, owner in hits)
    for group in _alike([case for case in cases if case.adopted is Side.CRM]):
        mapping = group[0].mapping
        if mapping is not None:
            theirs = _take_keys(context, group, refs)
            by_hash, owners = await _rows_by_hash(context, db, mapping, group, refs)
            for case, hashes in zip(group, theirs, strict=True):
                rows = {key for hash_ in hashes for key in by_hash.get(hash_, ())}
                case.peers = any(_living(owners.get(key)) is None and key != case.link.app_key for key in rows)


def _take_keys(context: Context, group: Sequence[Case], refs: Refs) -> list[set[bytes]]:
    """The hashes of the half that each case took; they are held like its own."""
    taken: list[set[bytes]] = []
    for case in group:
        assert case.mapping is not None  # noqa: S101 (only planned cases take a half)
        case.keys = _keys(case, refs) if case.adopted is Side.CRM else _row_keys(case, refs)
        taken.append({context.hash_of(case.mapping.name, key) for key in case.keys})
        case.hashes = sorted(taken[-1].union(case.hashes))
    return taken


def _alike(cases: Iterable[Case]) -> Iterable[list[Case]]:
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.mapping.name if case.mapping else ""].append(case)
    return groups.values()


async def _search(db: Connection, mapping: BoundMapping, group: Sequence[Case], refs: Refs) -> Mapping[AppKey, Row]:
    shape = group[0].rules.shapes[mapping.name]
    keys = {key for case in group for key in case.keys}
    rows: dict[AppKey, Row] = {}
    for rule in range(len(mapping.match)):
        expressions = _expressions(mapping, rule)
        values = sorted({value for key in keys if key.rule == rule for value in _sought(mapping, key, refs)})
        if expressions and values:
            rows |= {row.key: row for row in await tables.find(db, shape, expressions, values)}
    return rows


def _expressions(mapping: BoundMapping, rule: int) -> Sequence[str]:
    """SQL over `t`, one expression per part; nothing where a part cannot be searched by one column."""
    kinds = [(line, match.sql_kind(line)) for line in mapping.match[rule]]
    if any(kind is None for _, kind in kinds):
        return ()
    return [match.SQL[kind].format(f"t.{quote_ident(line.columns[0])}") for line, kind in kinds if kind is not None]


def _sought(mapping: BoundMapping, key: MatchKey, refs: Refs) -> Iterable[tuple[str, ...]]:
    """The values that the expressions can have for a key; a reference is sought by the key of its row."""
    choices: list[tuple[str, ...]] = []
    for line, part in zip(mapping.match[key.rule], key.parts, strict=True):
        kind = match.sql_kind(line)
        if line.link is not None:
            found = refs.by_crm.get((line.link, CrmId(part)))
            choices.append((found,) if found is not None else ())
        elif kind is not None:
            choices.append(match.sql_keys(kind, part))
    return product(*choices)
