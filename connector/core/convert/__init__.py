"""Conversions of one line: between the app's spelling of a value and the CRM's.

`converter_for` and `constant_for` choose and build; a converter is a `joint.Joint` of an app side, a CRM side and a
value. Families: text numbers dates choice collection contact address reference html rendered; `columns` says what a
column can hold, `causes` why a value is held. Pure; imports core only.
"""

from connector.core.convert.causes import Cause
from connector.core.convert.choose import converter_for
from connector.core.convert.constant import constant_for
from connector.core.convert.fits import ImpossiblePairError
from connector.core.convert.pair import unknown_words
from connector.core.convert.rendered import field_named

__all__ = ["Cause", "ImpossiblePairError", "constant_for", "converter_for", "field_named", "unknown_words"]
