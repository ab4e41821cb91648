"""Choices that the CRM defines (options, labels, pipelines, stages, users), and `values:` maps over any value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from connector.core.convert import columns
from connector.core.convert.causes import Cause
from connector.core.convert.joint import Value
from connector.core.line import HeldError, Refs

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from connector.core.model import Json
    from connector.core.schema import Column, Metadata, Option, Stage


@dataclass(frozen=True, slots=True)
class Choices:
    """Ids and the words that people use for them. `words` finds an id by exact word, `folded` by word without case."""

    shown: Mapping[str, str]
    words: Mapping[str, str]
    folded: Mapping[str, str]
    unknown: Cause = Cause.UNKNOWN_OPTION
    inactive: frozenset[str] = frozenset()

    def id_of(self, word: str) -> str:
        """The id that a word names, exactly if it can, else whatever its case."""
        found = self.words.get(word) or self.folded.get(fold(word))
        if found is None:
            raise HeldError(self.unknown)
        return found

    def word_of(self, choice: str) -> str:
        """The word shown for an id."""
        if choice not in self.shown:
            raise HeldError(self.unknown)
        return self.shown[choice]


def fold(word: str) -> str:
    """The word without case and without blanks around it."""
    return word.strip().casefold()


def by_label(options: Iterable[Option]) -> Choices:
    """Options by their labels; of two alike the first.

    A word that a file still holds stands for what it stood for; an option that took such a word over has none.
    """
    known = list(options)
    former = {word: option.id for option in known for word in option.former}
    shown = {o.id: (*o.former, o.label)[0] for o in known if o.former or former.get(o.label, o.id) == o.id}
    return _choices(shown, {o.label: o.id for o in reversed(known) if o.label not in former})


def by_key(options: Iterable[Option]) -> Choices:
    """Options whose ids are words themselves (deal status, activity type): shown by id, found by id, then by label."""
    named = {option.id: option.label for option in options}
    return _choices({key: key for key in named}, {label: key for key, label in named.items()})


def pipelines(metadata: Metadata) -> Choices:
    """Pipelines by name."""
    return _choices(metadata.pipelines, {})


def stages(metadata: Metadata) -> Choices:
    """Stages as 'Pipeline / Stage'; a stage's name alone will do where only one stage is called so."""
    named = {stage.id: stage_name(stage, metadata) for stage in metadata.stages}
    short: dict[str, list[str]] = {}
    for stage in metadata.stages:
        short.setdefault(stage.name, []).append(stage.id)
    return _choices(named, {name: ids[0] for name, ids in short.items() if len(ids) == 1})


def stage_name(stage: Stage, metadata: Metadata) -> str:
    """'Pipeline / Stage'."""
    pipeline = metadata.pipelines.get(stage.pipeline_id)
    return stage.name if pipeline is None else f"{pipeline} / {stage.name}"


def users(metadata: Metadata) -> Choices:
    """Users by e-mail; of two with one e-mail the active one. Inactive users are known but cannot be sent."""
    ordered = sorted(metadata.users, key=lambda user: not user.active)
    named = {user.id: user.email for user in ordered}
    inactive = frozenset(user.id for user in ordered if not user.active)
    return _choices(named, {}, Cause.UNKNOWN_USER, inactive)


def _choices(
    shown: Mapping[str, str],
    more: Mapping[str, str],
    unknown: Cause = Cause.UNKNOWN_OPTION,
    inactive: frozenset[str] = frozenset(),
) -> Choices:
    words: dict[str, str] = {}
    folded: dict[str, str] = {}
    for word, choice in [*((word, choice) for choice, word in shown.items()), *more.items()]:
        words.setdefault(word, choice)
        folded.setdefault(fold(word), choice)
    return Choices(shown, words, folded, unknown, inactive)


@dataclass(frozen=True, slots=True)
class Choice(Value):
    """A word in the app, an id in the CRM."""

    column: Column
    choices: Choices

    def to_crm(self, app: Json, _: Refs, /) -> Json:
        """The id that the word names."""
        found = self.choices.id_of(columns.spelled(app))
        if found in self.choices.inactive:
            raise HeldError(Cause.INACTIVE_USER)
        return found

    def to_app(self, crm: Json, _: Refs, /) -> Json:
        """The word shown for the id."""
        return columns.fit(self.column, self.choices.word_of(columns.spelled(crm)))

    def app_form(self, app: Json, /) -> Hashable:
        """The id that the word names, else the word."""
        word = columns.spelled(app)
        try:
            return self.choices.id_of(word)
        except HeldError:
            return ("unknown", fold(word))

    def crm_form(self, crm: Json, /) -> Hashable:
        """The id."""
        return columns.spelled(crm)


@dataclass(frozen=True, slots=True)
class Mapped(Value):
    """`values:` in front of another value: the app's words on one side, the words that `inner` takes on the other.

    Two app words for one CRM word are the same; received, it becomes the first of them.
    """

    column: Column
    inner: Value
    there: Mapping[Hashable, str]
    back: Mapping[Hashable, str] = field(default_factory=dict)

    def to_crm(self, app: Json, refs: Refs, /) -> Json:
        """What the CRM makes of the mapped word."""
        return self.inner.to_crm(self._mapped(app), refs)

    def to_app(self, crm: Json, refs: Refs, /) -> Json:
        """The app's word for the CRM's."""
        word = self.inner.to_app(crm, refs)
        found = self.back.get(self.inner.app_form(word))
        if found is None:
            raise HeldError(Cause.UNMAPPED_VALUE)
        return columns.fit(self.column, found)

    def app_form(self, app: Json, /) -> Hashable:
        """The canonical form of the mapped word, else of the app's."""
        try:
            return self.inner.app_form(self._mapped(app))
        except HeldError:
            return ("unmapped", columns.spelled(app))

    def crm_form(self, crm: Json, /) -> Hashable:
        """The canonical form of the CRM's word."""
        return self.inner.crm_form(crm)

    def _mapped(self, app: Json) -> str:
        found = self.there.get(_word(self.column, columns.spelled(app)))
        if found is None:
            raise HeldError(Cause.UNMAPPED_VALUE)
        return found


def mapped(column: Column, inner: Value, values: Mapping[str, str]) -> Value:
    """`inner` behind a `values:` map; `inner` itself where there is none."""
    if not values:
        return inner
    there: dict[Hashable, str] = {}
    back: dict[Hashable, str] = {}
    for app, word in values.items():
        there.setdefault(_word(column, app), word)
        back.setdefault(_form(inner, word), app)
    return Mapped(column, inner, there, back)


def _word(column: Column, text: str) -> Hashable:
    try:
        return columns.meaning(column, text)
    except HeldError:
        return text


def _form(inner: Value, word: str) -> Hashable:
    try:
        return inner.app_form(word)
    except HeldError:
        return word
