"""What happens when: fold, claim, reconcile, apply, intents, sweeps, fetch-all, brake, lease.

Lives here: whatever sleeps, loops, catches broadly or orders effects. Not here: a vendor's name, comparing values
(``core``), HTTP of any kind. May import ``local``, ``store``, ``config``, ``ports``, ``obs``, ``core``.

``owner`` starts everything that runs for one connection; ``context`` is what they share. ``fold`` turns notes into work,
``worker`` claims it, ``sweeps`` list the CRM, ``asked`` is what people want: all of them end in ``reconcile``, which
observes (``observe``), plans (``core.plan``), sends (``send``) and commits (``apply``). Whether anything may be sent is said
in one place, ``context.barred``; ``recognition`` closes it where the database may be restored or a copy, ``returning`` opens it.
"""
