"""The one error of this room."""


class ClusterError(Exception):
    """The embedded server cannot be had; the message says what a person can do about it."""
