"""Templates: what they may do, what null is to them, and what they must not reach."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core import template
from connector.core.frugal import LARGEST
from connector.core.template import RenderError, TemplateProblem, compile_template, is_template


@pytest.fixture(autouse=True)
def _made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environments are of this moment: those of the import were made before mutmut changes how they are made."""
    monkeypatch.setattr(template, "_PLAIN", template._environment(html=False))
    monkeypatch.setattr(template, "_ESCAPING", template._environment(html=True))
    compile_template.cache_clear()


def render(source: str, html: bool = False, **values: object) -> str:  # noqa: FBT001, FBT002
    """The source rendered over the values."""
    return compile_template(source).render(values, html=html)


@pytest.mark.parametrize(("text", "yes"), [("{{ a }}", True), ("{% if a %}x{% endif %}", True), ("{ a }", False)])
def test_a_template_is_known_by_its_braces(text: str, yes: bool) -> None:  # noqa: FBT001
    """`{{` or `{%` makes a text a template."""
    assert is_template(text) is yes


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("[{{ nothing }}]", "[]"),
        ("[{{ nothing | capitalize }}]", "[]"),
        ("[{{ nothing.part['x'].y }}]", "[]"),
        ("{{ nothing | default('n/a') }}", "n/a"),
        ("{{ 'no' if nothing is none else 'yes' }}", "no"),
        ("{{ 'yes' if nothing else 'no' }}", "no"),
        ("{{ flag }}", "true"),
        ("{{ number * 2 }}", "3.00"),
        ("{{ items | join(', ') }}", "a, "),
        ("{{ record['Odd name'] }}", "odd"),
        ("{{ tree.value }}", "v"),
        ("{{ not flag }}", "false"),
        ("{{ none }}", ""),
        ("{{ 'no' if none is none else 'yes' }}", "no"),
        ("{{ missing | default('n/a') }}", "n/a"),
        ("{{ missing | d('n/a') }}", "n/a"),
        ("{{ nothing | d('n/a') }}", "n/a"),
        ("[{{ nothing | default }}]", "[]"),
        ("{{ number | default('n/a') }}", "1.50"),
        ("{{ 2 ** 64 }}", "18446744073709551616"),
        ("{{ 7 % 4 }}", "3"),
        ("{{ 'ab' * 3 }}", "ababab"),
        ("{{ ('x' * 1000000) | length }}", "1000000"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}\n", "012\n"),
    ],
)
def test_rendering(source: str, text: str) -> None:
    """Null is nothing wherever it stands; truth values, numbers and lists are typed."""
    values: dict[str, object] = {
        "nothing": None,
        "flag": True,
        "number": Decimal("1.50"),
        "items": ["a", None],
        "Odd name": "odd",
        "tree": {"value": "v"},
    }
    assert compile_template(source).render(values, html=False) == text


def test_names() -> None:
    """The names are the free variables and what is taken from `record`; loop variables and functions are none."""
    source = "{{ a }}{% for x in b %}{{ x }}{% endfor %}{{ range(2) }}{{ record['Odd name'] }}{% set y = c %}{{ y }}"
    assert compile_template(source).names == {"a", "b", "c", "Odd name"}
    assert compile_template("{{ record }}").names == {"record"}


def test_html_escapes_values_only() -> None:
    """With html the values are escaped, in attributes too; the template's own elements stay."""
    text = render('<a href="{{ url }}">{{ name }}</a>', html=True, url='x" onclick="y', name="<b>")
    assert text == '<a href="x&#34; onclick=&#34;y">&lt;b&gt;</a>'
    assert render("{{ name }}", name="<b>") == "<b>"


@given(st.text())
def test_escaped_values_open_no_element(value: str) -> None:
    """Whatever the value is, it cannot start a tag or leave an attribute."""
    text = render("{{ value }}", html=True, value=value)
    assert not set(text) & set("<>\"'")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ a._x }}",
        "{{ a['__class__'] }}",
        "{{ missing }}",
        "{{ a.missing }}",
        "{{ 1 / 0 }}",
        "{{ 'x' * 10000000 }}",
        "{{ [1] * 10000000 }}",
        "{{ 9 ** 999999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
        "{{ items.append(1) }}",
        "{{ lipsum() }}",
        "{{ cycler('a', 'b') }}",
        "{{ joiner() }}",
        "{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}",
        "{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
        "{% set n = namespace(t='aaaaaaaa') %}{% for i in range(40) %}{% set n.t = n.t ~ n.t %}{% endfor %}",
        "{% set n = namespace(t='aaaaaaaa') %}{% for i in range(40) %}{% set n.t = n.t + n.t %}{% endfor %}",
        "{% set n = namespace(t=9) %}{% for i in range(40) %}{% set n.t = n.t * n.t %}{% endfor %}",
        "{% set n = namespace(t=9) %}{% for i in range(40) %}{% set n.t = n.t ** 64 %}{% endfor %}",
        "{{ 'x' | center(999999999) | length }}",
        "{{ 'x'.ljust(999999999) | length }}",
        "{{ '%999999999d' | format(1) | length }}",
        "{{ '%*d' | format(999999999, 1) | length }}",
        "{{ '{:999999999}'.format(1) | length }}",
        "{{ '{:{}}'.format(1, 999999999) | length }}",
        "{{ [1] | batch(999999999, 0) | list | length }}",
        "{{ [1] | slice(999999999) | list | length }}",
        "{{ 'a\nb' | indent(999999999) | length }}",
        "{{ [1] | tojson(indent=999999999) | length }}",
        "{{ ('x' * 1000).replace('x', 'y' * 10000) | length }}",
        "{{ ('x' * 1000) | replace('x', 'y' * 10000) | length }}",
        "{{ range(1000) | join('y' * 10000) | length }}",
        "{{ range(1000) | map('string') | join('y' * 10000) | length }}",
        "{{ ('y' * 10000).join(range(1000) | map('string')) | length }}",
    ],
)
def test_what_fails_or_reaches_out_is_an_error(source: str) -> None:
    """Hidden attributes, unknown names, arithmetic errors and huge results end in RenderError."""
    with pytest.raises(RenderError):
        render(source, a={}, items=[])


def test_an_error_names_its_kind_and_no_value() -> None:
    """It is shown to people: what went wrong, never what the record held."""
    for source, kind in {
        "{{ 1 / 0 }}": "ZeroDivisionError",
        "{{ unknown }}": "UndefinedError",
    }.items():
        with pytest.raises(RenderError) as error:
            render(source, a=2)
        assert str(error.value) == kind


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for i in items %}{% for j in items %}{{ i + j }}{% endfor %}{% endfor %}", "2334"),
        ("{{ 'a' ~ items ~ null ~ 1 }}", "a[1, 2]1"),
        ("{{ items | join(', ') }} {{ ', '.join(['a', 'b']) }}", "1, 2 a, b"),
        ("{{ '%s-%05d' | format('a', 7) }} {{ '{}-{:>3}'.format('a', 7) }}", "a-00007 a-  7"),
        ("{{ ('x' * 9000) | replace('x', 'yz') | truncate(9) }}", "yzyzyz..."),
        ("{{ 'a b' | replace(' ', '_') | center(5) | upper }}", " A_B "),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(1) ~ f('b') }}", "<1><b>"),
        ("{{ 2 ** 10 + 3 * 4 }} {{ [1] + [2] }} {{ [0] * 3 }}", "1036 [1, 2] [0, 0, 0]"),
        ("{% for g in [1, 2, 3] | batch(2, 0) %}{{ g | join }};{% endfor %}", "12;30;"),
        ("{% for i in items if i > 1 %}{{ loop.index }}{{ loop.last }}{% else %}none{% endfor %}", "1true"),
    ],
)
def test_what_is_frugal_is_rendered(source: str, text: str) -> None:
    """Scales and counters change nothing about what a template says."""
    assert render(source, items=[1, 2], null=None) == text


def test_a_joined_text_is_escaped_where_html_is() -> None:
    """`~` of a value and of markup, as without the scales."""
    assert render("{{ '<b>' ~ a }}{{ ('<i>' | safe) ~ a }}", html=True, a="&") == "&lt;b&gt;&amp;<i>&amp;"


def test_the_limit_is_on_the_whole_text() -> None:
    """A text may be as long as the limit, and no longer."""
    assert len(render("{{ a }}{{ a }}", a="x" * (LARGEST // 2))) == LARGEST
    with pytest.raises(RenderError):
        render("{{ a }}{{ a }}x", a="x" * (LARGEST // 2))


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("{{ a", 1),
        ("a\nb\n{% if %}", 3),
        ("\n{% include 'x' %}", 2),
        ("{{ a | nofilter }}", 1),
        ("{{ a | random }}", 1),
        ("{% extends 'x' %}", 1),
    ],
)
def test_what_is_no_template(source: str, line: int) -> None:
    """Syntax errors, unknown filters, randomness and other files are found when compiling, with their line."""
    with pytest.raises(TemplateProblem) as problem:
        compile_template(source)
    assert problem.value.line == line
    assert problem.value.message


def test_one_compilation_per_source() -> None:
    """The same source is compiled once."""
    assert compile_template("{{ cached }}") is compile_template("{{ cached }}")


def test_a_problem_is_its_message() -> None:
    """It stands on the first line unless it is said otherwise."""
    problem = TemplateProblem("odd")
    assert (str(problem), problem.message, problem.line) == ("odd", "odd", 1)
    with pytest.raises(TemplateProblem, match=r"^a mapping's template cannot load other templates$"):
        compile_template("{% import 'x' as y %}")


def test_a_template_has_names_or_takes_all() -> None:
    """Texts in `record[...]` are names; without one, and beside other variables, `record` stands for itself."""
    assert compile_template("{{ a }}{{ record }}").names == {"a", "record"}
    assert compile_template("{{ other['Odd name'] }}").names == {"other"}
    assert compile_template("{{ record['Odd name'] }}{{ record[1] }}").names == {"Odd name", "1"}
