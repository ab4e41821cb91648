"""Joins a mapping set with both schemas: usable mappings, and every problem at its place in the files.

Pure. `bind` is the door; `alone` looks at the files by themselves, `names` resolves CRM fields, `lines` binds one line,
`rows` and `records` check what else names columns and fields, `cycles` and `overlap` look at the set as a whole.
"""

from connector.core.bind.alone import alone
from connector.core.bind.whole import bind

__all__ = ["alone", "bind"]
