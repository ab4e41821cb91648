"""Two-way sync between the tables of your own PostgreSQL database and a CRM.

The rooms; an upper one may import lower ones only, names on one line do not know each other (import-linter checks it)::

    __main__
    cli          commands; talks to people
    app          composition root: builds every object, signals, ordered shutdown
    engine   service     fold, reconcile, sweep, brake, lease  |  HTTP towards callers
    crm  local  store  config  postgres     a vendor's API | the app's tables | our schema | files, environment | embedded
    ports        what the engine needs from a CRM, as types
    obs          logs and metrics
    core         PURE: values, mapping, convert, merge, match, plan

`sandbox`, the Pipedrive emulator, stands apart: it imports nothing of ours, and only `cli` imports it.

Reading order for the engine, one hour:

1. `core/model.py`, `core/mapping.py`, `core/line.py`: the words.
2. `core/merge.py`: one line of one record. `core/plan/`: one record.
3. `ports.py`: what a CRM is to us.
4. `engine/reconcile.py`: the one path; the rooms beside it are its steps: `engine/observe/`, `engine/send/`,
   `engine/apply/`.
5. What leads to that path: `engine/fold.py` and `worker.py` (notes), `engine/sweeps/` (listings), `engine/asked/` (people).
6. `store/migrations/0001_state.sql`, `local/capture.py`: the state, and how changes are noticed.
7. `adr/`: decisions that a newcomer would question.
"""
