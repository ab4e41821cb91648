-- The connector's own state. Every key starts with the connection. Times are given by the daemon, but for the notes of
-- the capture triggers, which only the database sees.

create table connector.connection (
    connection      text primary key,
    crm             text not null,
    state           text not null default 'ok' check (state in ('ok', 'held')),
    reason          text,
    advice          text,
    probe_at        timestamptz,
    paused          boolean not null default false,
    sends_paused    boolean not null default false,
    salt            bytea not null,
    webhook_secret  bytea,
    credentials     bytea,
    account         jsonb,
    metadata        jsonb,
    metadata_at     timestamptz,
    last_webhook_at timestamptz,
    last_answer_at  timestamptz,
    gap_since       timestamptz
);

create table connector.lease (
    connection text primary key,
    epoch      bigint not null,
    owner      text not null,
    expires_at timestamptz not null,
    unique (connection, epoch)
);
comment on table connector.lease is
    'Who owns a connection. A state write holds its row FOR KEY SHARE: renewing does not disturb that, a change of the epoch (part of a unique key) waits for it.';

create table connector.set (
    connection text primary key,
    version    text not null,
    files      jsonb not null,
    directory  text not null,
    applied_at timestamptz not null
);

create table connector.mapping (
    connection     text not null,
    mapping        text not null,
    object         text not null,
    table_schema   text not null,
    table_name     text not null,
    key_column     text not null,
    fetched_all_at timestamptz,
    paused         boolean not null default false,
    primary key (connection, mapping)
);

create table connector.capture (
    id         bigint generated always as identity primary key,
    connection text not null,
    mapping    text not null,
    columns    text[] not null,
    definition text not null,
    made_at    timestamptz not null default now()
);
comment on table connector.capture is
    'What the bits of change.columns mean: bit n is columns[n+1], the last bit stands for all beyond 62.';

create table connector.change (
    id         bigint generated always as identity primary key,
    connection text not null,
    mapping    text not null,
    capture    bigint not null,
    op         "char" not null,
    columns    bigint not null default 0,
    keys       text[] not null,
    at         timestamptz not null default clock_timestamp()
);

create table connector.event (
    id          bigint generated always as identity primary key,
    connection  text not null,
    event_id    text not null,
    object      text not null,
    crm_id      text not null,
    kind        text not null,
    hint        jsonb not null,
    received_at timestamptz not null
);

create table connector.link (
    id            bigint generated always as identity primary key,
    connection    text not null,
    object        text not null,
    mapping       text,
    app_key       text,
    crm_id        text,
    state         text not null default 'open',
    origin        text not null check (origin in ('app', 'crm')),
    base          jsonb not null default '{}',
    restore       jsonb not null default '{}',
    held          jsonb not null default '{}',
    died          text,
    cause         text,
    version       text,
    first_seen_at timestamptz not null,
    committed_at  timestamptz,
    released      boolean not null default false,
    check (app_key is null or mapping is not null),
    check (app_key is not null or crm_id is not null),
    check (not released or (app_key is not null and crm_id is not null))
);
comment on column connector.link.released is
    'Its record became another mapping''s: the link only remembers which it was, and is taken again when the record returns.';
create unique index link_crm on connector.link (connection, object, crm_id) where crm_id is not null and not released;
create index link_released on connector.link (connection, object, crm_id) where released;
create unique index link_app on connector.link (connection, mapping, app_key) where app_key is not null;
create index link_half on connector.link (connection, object) where app_key is null and state = 'open';
create index link_held on connector.link (connection) where held <> '{}';

create table connector.work (
    link_id     bigint primary key references connector.link on delete cascade,
    connection  text not null,
    lane        smallint not null,
    state       text not null default 'due' check (state in ('due', 'retry', 'waiting', 'braked', 'parked')),
    due_at      timestamptz not null,
    generation  bigint not null default 1,
    claimed_by  bigint,
    attempt     integer not null default 0,
    cause       text,
    waiting_for bigint,
    noticed_at  timestamptz not null,
    evidence    boolean not null default false,
    crm_version text,
    merged_to   text,
    app_at      timestamptz,
    app_changed jsonb not null default '{}',
    crm_changed jsonb not null default '{}'
) with (fillfactor = 70);
create index work_due on connector.work (connection, lane, due_at) where state in ('due', 'retry', 'waiting');
create index work_waiting on connector.work (waiting_for) where waiting_for is not null;

create table connector.match_key (
    connection text not null,
    hash       bytea not null,
    object     text not null,
    crm_id     text not null,
    primary key (connection, hash, object, crm_id)
);
create index match_key_record on connector.match_key (connection, object, crm_id);

create table connector.intent (
    id         bigint generated always as identity primary key,
    connection text not null,
    link_id    bigint not null,
    epoch      bigint not null,
    op         text not null check (op in ('create', 'update', 'delete')),
    object     text not null,
    crm_id     text,
    fields     jsonb not null,
    seen       jsonb not null default '{}',
    hashes     bytea[] not null default '{}',
    unknown    boolean not null default false,
    sent_at    timestamptz not null
);
create index intent_link on connector.intent (connection, link_id);
create index intent_open on connector.intent (connection, object, op);

create table connector.journal (
    id         bigint generated always as identity,
    connection text not null,
    at         timestamptz not null,
    run        text,
    link_id    bigint,
    object     text not null,
    mapping    text,
    app_key    text,
    crm_id     text,
    side       text not null,
    action     text not null,
    cause      text not null,
    reason     text not null,
    actor      text,
    lines      jsonb not null default '{}',
    primary key (id, at)
) partition by range (at);
create index journal_record on connector.journal (connection, mapping, app_key, at);
create index journal_crm on connector.journal (connection, object, crm_id, at);
create table connector.journal_default partition of connector.journal default;

create table connector.sweep (
    connection  text not null,
    object      text not null,
    kind        text not null check (kind in ('recent', 'full', 'fetch_all')),
    since       timestamptz,
    cursor      text,
    started_at  timestamptz,
    finished_at timestamptz,
    seen        bigint not null default 0,
    due_at      timestamptz,
    primary key (connection, object, kind)
);
comment on column connector.sweep.since is 'recent: how far the CRM''s clock is covered';

create unlogged table connector.sweep_seen (
    connection text not null,
    object     text not null,
    crm_id     text not null,
    primary key (connection, object, crm_id)
);
comment on table connector.sweep_seen is 'Records that a running full sweep has met; lost at a crash, then the sweep begins anew.';

create table connector.request (
    id          bigint generated always as identity primary key,
    connection  text not null,
    kind        text not null,
    args        jsonb not null default '{}',
    state       text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed')),
    progress    jsonb not null default '{}',
    result      jsonb,
    asked_at    timestamptz not null,
    finished_at timestamptz
);
create index request_open on connector.request (connection, id) where state in ('queued', 'running');

create table connector.brake (
    connection  text not null,
    mapping     text not null,
    side        text not null,
    tripped_at  timestamptz,
    allowance   bigint not null default 0,
    primary key (connection, mapping, side)
);
create table connector.brake_count (
    connection text not null,
    mapping    text not null,
    side       text not null,
    effect     text not null,
    at         timestamptz not null,
    records    integer not null
);
create index brake_count_window on connector.brake_count (connection, mapping, side, at);

create aggregate connector.jsonb_merge(jsonb) (sfunc = jsonb_concat, stype = jsonb, initcond = '{}');

create view connector.link_status as
select l.connection, l.mapping, l.object, l.app_key, l.crm_id,
       case when w.state in ('parked', 'braked', 'waiting', 'retry') then w.state else l.state end as state,
       coalesce(w.cause, l.cause) as last_error,
       w.waiting_for as blocked_by,
       l.held as held_values,
       case when l.crm_id is not null and c.account ? 'url'
            then (c.account ->> 'url') || '/' || l.object || '/' || l.crm_id end as crm_url,
       l.committed_at as synced_at
from connector.link l
join connector.connection c using (connection)
left join connector.work w on w.link_id = l.id;

create function connector.synced(source regclass, key text)
returns table (connection text, crm_id text, url text, state text, error text)
language sql stable as $$
    select s.connection, s.crm_id, s.crm_url, s.state, s.last_error
    from connector.mapping m
    join pg_catalog.pg_class t on t.oid = source
    join pg_catalog.pg_namespace n on n.oid = t.relnamespace and n.nspname = m.table_schema and t.relname = m.table_name
    join connector.link_status s on s.connection = m.connection and s.mapping = m.mapping and s.app_key = key
$$;
