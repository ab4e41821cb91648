"""Pure: model, mapping, values, convert, template, merge, match, plan, retry, errors.

Lives here: whatever compares, converts, chooses or names a reason. Not here: I/O, clocks, randomness, logging,
coroutines; what a function needs, it is given. Imports nothing of ours.
"""
