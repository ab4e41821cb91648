"""Fuzzing of the webhook endpoint: the real service in a process of its own, real PostgreSQL, hostile senders.

`make fuzz REQUESTS=100000 SEED=1`, or `python -m tests.fuzz 100000 --seed 1`. A request is a function of the seed and its
number: `--only NUMBER` sends it again. What fails is made smaller for as long as it fails, and printed.

`requests` is what is sent, `client` sends it and judges the answers, `process` is the daemon and its measures, `run` tells.
"""
