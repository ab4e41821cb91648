"""What happens when: fold, claim, reconcile, apply, intents, sweeps, fetch-all, brake, lease.

Lives here: whatever sleeps, loops, catches broadly or orders effects. Not here: a vendor's name, comparing values
(``core``), HTTP of any kind. May import ``local``, ``store``, ``config``, ``ports``, ``obs``, ``core``.
"""
