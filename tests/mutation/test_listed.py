"""The list of equivalent mutants: how it is read and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.listed import Mutant, differences, function_of, listed, shown

DIFF = """\
# connector.core.brake.x_exceeded__mutmut_20: survived
--- connector/core/brake.py
+++ connector/core/brake.py
@@ -1,4 +1,4 @@
 def exceeded(spec):
-    return 1 // 4
+    return 1 / 4
"""
QUARTER = Mutant("connector.core.brake.exceeded", "return 1 // 4", "return 1 / 4")
LISTED = """\
- reason: whole numbers
  mutants:
    - function: connector.core.brake.exceeded
      was: return 1 // 4
      now: return 1 / 4
"""


def test_a_survivor_that_is_listed(tmp_path: Path) -> None:
    """It is known by its function and its changed lines, whatever its number is today."""
    path = tmp_path / "equivalent.yaml"
    path.write_text(LISTED, encoding="utf-8")
    assert shown("connector.core.brake.x_exceeded__mutmut_7", DIFF) == QUARTER
    assert differences(listed(path), [QUARTER]) == ([], [])


def test_what_differs() -> None:
    """A survivor that is not listed, one of two with the same lines, and one that is listed and does not survive."""
    assert differences([], [QUARTER]) == ([QUARTER], [])
    assert differences([QUARTER], [QUARTER, QUARTER]) == ([QUARTER], [])
    assert differences([QUARTER], []) == ([], [QUARTER])


def test_names() -> None:
    """Functions and methods; anything else is no mutant."""
    assert function_of("connector.core.merge.x__first_sight__mutmut_3") == "connector.core.merge._first_sight"
    assert function_of("connector.core.model.xǁLinkǁhalf__mutmut_1") == "connector.core.model.Link.half"
    with pytest.raises(ValueError, match="not a mutant's name"):
        function_of("connector.core.model")


def test_the_committed_list_can_be_read() -> None:
    """Every entry names a function of the core that there is."""
    for mutant in listed():
        module, name = mutant.function.rsplit(".", 1)
        parent, _, owner = module.rpartition(".")
        path = Path(module.replace(".", "/"))
        files = [path.with_suffix(".py"), path / "__init__.py", Path(parent.replace(".", "/")).with_suffix(".py")]
        text = "".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
        assert f"def {name}(" in text, (mutant.function, owner)
