"""The composition root: builds every object, one TaskGroup, signals, ordered shutdown.

Lives here: building one object from another's parts. Not here: deciding, SQL, talking to people on a terminal.
May import every room below `cli`, and a vendor.
"""
