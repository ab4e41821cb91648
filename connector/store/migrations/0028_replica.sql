-- The daemons that live: each says so, and which connections it could work on, so that they share the work evenly.
-- And what is wrong with the webhooks of a connection, for people.

create table connector.replica (
    owner       text primary key,
    connections text[] not null,
    began_at    timestamptz not null,
    seen_at     timestamptz not null
) with (fillfactor = 50);

alter table connector.connection add column webhook_trouble text;
comment on column connector.connection.webhook_trouble is 'why webhooks do not come, or that they miss changes; null: nothing is known of it';
