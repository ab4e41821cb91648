"""The daemon as a real process that is killed."""
