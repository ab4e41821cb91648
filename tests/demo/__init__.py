"""The commands that start everything, as processes, from outside."""
