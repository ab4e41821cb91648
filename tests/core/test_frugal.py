"""The sizes at which a template is stopped, to the element: what is just small enough is made, one more is not."""

from __future__ import annotations

import pytest
from jinja2.exceptions import SecurityError

from connector.core.frugal import COUNTER, LARGEST, STEPS, FrugalEnvironment, counter

MOST = "x" * LARGEST
HALF = "x" * (LARGEST // 2)
BITS = 2**2047
"""2,048 bits: half of what a product may have."""


def rendered(source: str, a: object = None) -> str:
    """The text of a template over one value."""
    return FrugalEnvironment().from_string(source).render({"a": a, COUNTER: counter()})


@pytest.mark.parametrize(
    ("source", "a", "text"),
    [
        ("{{ (a + a) | length }}", HALF, "1000000"),
        ("{{ (a ~ a) | length }}", HALF, "1000000"),
        ("{{ ('x' * 1000000) | length }}", None, "1000000"),
        ("{{ (['x'] * 500000) | length }}", None, "500000"),
        ("{{ (a | indent) | length }}", MOST, "1000000"),
        ("{{ (a | replace('x', 'yz')) | length }}", HALF, "1000000"),
        ("{{ 2000 * 2000 }}", None, "4000000"),
        ("{{ (a * a) // a == a }}", BITS, "True"),
        ("{{ 2 ** 2048 // 2 ** 2047 }}", None, "2"),
        ("{{ 1.0 ** 4000 }}", None, "1.0"),
        ("{{ 7 % 4 }}", None, "3"),
        ("{% for i in a %}{% endfor %}done", range(STEPS), "done"),
    ],
)
def test_what_is_just_small_enough(source: str, a: object, text: str) -> None:
    """A text or list may have LARGEST elements, a list itself being one; a number 4,096 bits; a loop STEPS turns."""
    assert rendered(source, a) == text


@pytest.mark.parametrize(
    ("source", "a"),
    [
        ("{{ (a + 'x') | length }}", MOST),
        ("{{ ('x' + a) | length }}", MOST),
        ("{{ (a ~ 'x') | length }}", MOST),
        ("{{ ('x' * 1000001) | length }}", None),
        ("{{ (1000001 * 'x') | length }}", None),
        ("{{ ('xx' * 500001) | length }}", None),
        ("{{ (['x'] * 500001) | length }}", None),
        ("{{ (500001 * ['x']) | length }}", None),
        ("{{ (a | indent) | length }}", MOST + "x"),
        ("{{ (a | replace('x', 'yz')) | length }}", HALF + "x"),
        ("{{ (a * a) // a == a }}", 2 * BITS),
        ("{{ a * 2 > a }}", 2**4095),
        ("{{ 2 * a > a }}", 2**4095),
        ("{{ 2 ** 2049 > 1 }}", None),
        ("{{ 2 ** -2049 < 1 }}", None),
        ("{{ 2 ** 0.5 }}", None),
        ("{{ '%s' % 'a' }}", None),
        ("{% for i in a %}{% endfor %}done", range(STEPS + 1)),
    ],
)
def test_what_is_just_too_large(source: str, a: object) -> None:
    """Stopped before it is made; so is `%` on a text, whose width nobody can weigh."""
    with pytest.raises(SecurityError):
        rendered(source, a)
