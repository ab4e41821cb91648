"""The set as a whole: each mapping bound on its own, then what only shows between mappings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from connector.core.bind.alone import alone
from connector.core.bind.checks import check_line, check_needs, check_targets
from connector.core.bind.cycles import deadlocks, defer
from connector.core.bind.lines import Joined, join
from connector.core.bind.names import pin_options
from connector.core.bind.overlap import kinds, overlaps
from connector.core.bind.records import check_object, constants, filters, match_lines
from connector.core.bind.rows import check_table
from connector.core.bind.scope import Scope
from connector.core.line import Bound, BoundMapping, Line
from connector.core.mapping import BrakeSpec, Direction, LineSpec, MappingSet, MappingSpec, Rollout
from connector.core.pins import Pin, Pins, Standing
from connector.core.schema import Column, Metadata, Table
from connector.core.spelling import meant

Tables = Mapping[tuple[str, str], Table]


def bind(
    spec: MappingSet, metadata: Metadata, tables: Tables, *, pins: Pins | None = None, quarantine: bool = False
) -> Bound:
    """The set joined with both schemas. A mapping with an error is left out, the others stay.

    `pins` let a renamed custom field be found under its old name, and tell what is not what it was. With `quarantine`,
    for schemas that changed under a running set, a line that fits no more is left out alone, and a choice that is gone
    only warns.
    """
    known = pins or Pins()
    scopes = {each.name: _scope(each, spec, metadata, tables, known) for each in spec.mappings}
    if quarantine:
        scopes = {name: replace(scope, set_aside=[]) for name, scope in scopes.items()}
    bound = {name: _bind(scope, tables, spec.connection.brake) for name, scope in scopes.items()}
    for name, problem in (*alone(spec), *overlaps(list(scopes.values()))):
        scopes[name].notes.append(problem)
    usable = {name: each for name, each in bound.items() if each is not None and scopes[name].sound}
    deferred = defer(usable)
    notes = [problem for scope in scopes.values() for problem in (*scope.notes, *(scope.set_aside or ()))]
    problems = tuple(sorted({*notes, *deadlocks(deferred.values())}))
    return Bound(deferred, problems, _pins(scopes, usable, known), kinds(list(scopes.values())))


def _pins(scopes: Mapping[str, Scope], usable: Mapping[str, BoundMapping], before: Pins) -> Pins:
    """The pins after this look. Of a mapping that cannot be used at all every line is set aside."""
    fields: dict[str, dict[str, Pin]] = {}
    columns: dict[str, dict[str, Pin]] = {}
    words: dict[str, dict[str, dict[str, str]]] = {}
    options: dict[str, dict[str, tuple[str, ...]]] = {}
    for scope in scopes.values():
        known = before.columns.get(scope.place, {}) if scope.table is None else {}
        columns.setdefault(scope.place, {}).update({**known, **scope.met.columns})
        fields.setdefault(scope.spec.object, {}).update(scope.met.fields)
        options.setdefault(scope.spec.object, {}).update(scope.met.options)
        for key, found in scope.met.words.items():
            words.setdefault(scope.spec.object, {}).setdefault(key, {}).update(found)
    lines = {name: _standings(scope, usable=name in usable) for name, scope in scopes.items()}
    return Pins(fields, columns, words, {name: known for name, known in lines.items() if known}, options)


def _standings(scope: Scope, *, usable: bool) -> dict[str, Standing]:
    """How the lines stand that are or were set aside."""
    problem = next((problem.message for problem in scope.notes if not problem.warning), None)
    names = [*_names(scope.spec.lines), *(f"set.{name}" for name in scope.spec.set_crm)]
    aside = {name: scope.met.aside.get(name, None if usable else problem) for name in names}
    found = {
        name: Standing(scope.returns(name)) if why is None else Standing(scope.returned_before(name), why)
        for name, why in aside.items()
    }
    return {name: standing for name, standing in found.items() if standing != Standing()}


def _scope(each: MappingSpec, spec: MappingSet, metadata: Metadata, tables: Tables, pins: Pins) -> Scope:
    return Scope(
        spec=each,
        metadata=metadata,
        table=tables.get((each.schema, each.table)),
        fields=metadata.fields.get(each.object),
        mappings={other.name: other for other in spec.mappings},
        keys=_key_columns(spec, tables),
        pins=pins,
    )


def _key_columns(spec: MappingSet, tables: Tables) -> dict[str, Column]:
    found = {each.name: tables.get((each.schema, each.table)) for each in spec.mappings}
    keys = {each.name: each.key for each in spec.mappings}
    return {name: table.columns[keys[name]] for name, table in found.items() if table and keys[name] in table.columns}


def _bind(scope: Scope, tables: Tables, brake: BrakeSpec) -> BoundMapping | None:
    if scope.table is None:
        name = f"{scope.spec.schema}.{scope.spec.table}"
        scope.wrong(f"there is no table {name}{meant(name, ('.'.join(each) for each in tables))}", "table")
    if scope.fields is None:
        near = meant(scope.spec.object, scope.metadata.fields)
        scope.wrong(f"{scope.spec.object!r} is no object that can be mapped{near}", "object")
    lines = _lines(scope)
    check_targets(scope, lines)
    check_object(scope)
    if scope.table is not None:
        check_table(scope, scope.table, lines)
    fixed, match = constants(scope, lines), match_lines(scope, lines)
    if scope.table is None or not scope.sound:
        return None
    check_needs(scope, [*(line for line in lines if line.direction.sends), *fixed])
    used = tuple(line for each in lines if each.direction is not Direction.NONE if (line := each.line(scope)))
    spec = replace(scope.spec, only_receive=filters(scope))
    made = _mapping(spec, scope.table, used, fixed, match, brake=brake)
    return replace(made, aside=tuple(scope.met.aside), incomplete=scope.met.incomplete or len(match) < len(spec.match))


def _lines(scope: Scope) -> list[Joined]:
    names = _names(scope.spec.lines)
    joined = (_line(scope, index, name) for index, name in enumerate(names))
    return [line for line in joined if line is not None]


def _line(scope: Scope, index: int, name: str) -> Joined | None:
    before = scope.mark
    line = join(scope, index, name)
    if line is not None:
        check_line(scope, line)
        pin_options(scope, line.fields)
    return line if scope.keep_or_set_aside(name, before) else None


def _names(lines: Iterable[LineSpec]) -> list[str]:
    """A readable name per line that lasts as long as its CRM side: `emails`, and `emails:mail` for a second one."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for line in lines:
        columns = "+".join(line.column) if isinstance(line.column, tuple) else "template"
        fields = "+".join(f.name for f in line.crm) if isinstance(line.crm, tuple) else columns
        name = fields if not seen[fields] else f"{fields}:{columns}"
        seen.update({fields, name})
        names.append(name if seen[name] == 1 else f"{name}:{seen[name]}")
    return names


def _mapping(
    spec: MappingSpec,
    table: Table,
    lines: tuple[Line, ...],
    fixed: tuple[Line, ...],
    match: tuple[tuple[Line, ...], ...],
    *,
    brake: BrakeSpec,
) -> BoundMapping:
    rollout = Direction.RECEIVE if spec.rollout is Rollout.RECEIVE else Direction.BOTH
    return BoundMapping(
        name=spec.name,
        at=spec.at,
        object=spec.object,
        table=table,
        key=spec.key,
        direction=spec.direction.within(rollout),
        lines=lines,
        constants=fixed,
        conflict=spec.conflict,
        match=match,
        deletes=spec.deletes,
        only_receive=spec.only_receive,
        only_send=spec.only_send,
        on_leave=spec.on_leave,
        backfill=spec.backfill,
        rollout=spec.rollout,
        set_app=spec.set_app,
        updated_at=spec.updated_at,
        brake=spec.brake.over(brake),
    )
