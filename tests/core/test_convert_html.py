"""Text in an HTML field as a reader sees it, and HTML as the CRM cleans it."""

from __future__ import annotations

import pytest

from connector.core.schema import FieldType as T
from tests.core.converters import REFS, one

TEXT = one("text", T.HTML)


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        pytest.param("<p>a</p>\n<p>b</p>", "a\nb", id="what stands between two blocks is not seen"),
        pytest.param("<p>a</p>b", "a\nb", id="a block ends its line"),
        pytest.param("a<p>b</p>", "a\nb", id="a block begins a line"),
        pytest.param("<b>a</b>b", "ab", id="other elements do not"),
        pytest.param("a\nb", "a b", id="a line feed of the source is a blank"),
        pytest.param("a<br><br>b", "a\n\nb", id="each break counts"),
        pytest.param("<p>a</p><p></p><p>b</p>", "a\nb", id="an empty block does not"),
        pytest.param("<p>  a </p>", "  a ", id="blanks of a line stay"),
        pytest.param("<p>X</p>", "X", id="letters at the ends stay"),
    ],
)
def test_what_a_reader_sees(source: str, seen: str) -> None:
    """Received into a text column: lines where elements make them, without empty ones around."""
    assert TEXT.to_app(source, REFS) == seen


@pytest.mark.parametrize(
    ("one_text", "other", "same"),
    [
        ("a  \nb", "a\nb", True),
        ("\n a\nb\n", "a\nb", True),
        ("a\r\nb", "a\nb", True),
        ("a\n b", "a\nb", False),
        ("a b", "a\nb", False),
        ("a", "b", False),
    ],
)
def test_texts_in_html_are_compared_by_line(one_text: str, other: str, same: bool) -> None:  # noqa: FBT001
    """Blanks at the ends of lines are none that the CRM keeps."""
    assert TEXT.same_app(one_text, other) is same


def test_html_is_compared_as_the_crm_would_clean_it() -> None:
    """Sanitised attributes, entity spelling, tag case and blanks between elements are no change; words are."""
    made = one("text", T.HTML, "html")
    ours, stored = '<P style="x">a&nbsp;&lt;b</P>\n<p>c</p>', "<p>a\xa0&#60;b</p><p>c</p>"
    assert made.same_crm(ours, stored)
    assert not made.same_crm(ours, stored.replace("c", "d"))
    assert made.to_crm("<img src=x onerror=alert(1)><script>1</script>", REFS) == '<img src="x">'
