-- What this database is to a connection. One that was restored, or copied, must not send as if nothing had happened.

alter table connector.connection
    add column place        text,
    add column role     text not null default 'original'
        check (role in ('original', 'in_doubt', 'copy', 'returning')),
    add column doubt        text,
    add column doubted_at   timestamptz,
    add column highest_seen bigint not null default 0;
comment on column connector.connection.place is 'system identifier of the cluster, number of the database, number of this table';
comment on column connector.connection.highest_seen is 'the highest intent in an identity of the CRM that this database did not give';

create table connector.restore (
    connection text not null,
    after      bigint not null,
    until      bigint,
    at         timestamptz not null,
    primary key (connection, after, at)
);
comment on table connector.restore is
    'Numbers of intents that another database gave: later than `after`; those up to `until` are known, null: all that are seen.';

alter table connector.link add column lost_since timestamptz;
comment on column connector.link.lost_since is
    'What the connector has written for it since then was lost by a restore, and is not found out yet.';
create index link_lost on connector.link (connection, object, lost_since, id) where lost_since is not null and crm_id is null;
