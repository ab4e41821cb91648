-- The daemons that live: each says so, and which connections it could work on, so that they share the work evenly.

create table connector.replica (
    owner       text primary key,
    connections text[] not null,
    began_at    timestamptz not null,
    seen_at     timestamptz not null
) with (fillfactor = 50);
