"""Settings from the environment, and mapping sets read with the position of every key.

Lives here: the only reader of environment variables, and the loader of YAML. Not here: meaning of a mapping (``core``).
May import ``ports``, ``obs``, ``core``.
"""
