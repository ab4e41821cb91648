-- Conflicts that a person is to settle, and our last writes as they were made: an echo tells of one write, not of one line.

alter table connector.link add column conflicts jsonb not null default '{}';
alter table connector.link alter column conflicts set statistics 0;
create index link_conflicts on connector.link (connection) where conflicts <> '{}';
comment on column connector.link.conflicts is
    'line → {app, crm, since, app_at, crm_at, overwritten, keep}: both sides changed it, and a person is to say which value stays';
alter table connector.link alter column sent set default '[]';
update connector.link set sent = '[]';
comment on column connector.link.sent is
    '[{at: by the CRM''s clock, lines: {line: [seen, sent]}}]: our last writes, the value as it was read before and as it was stored';
