-- What our last writes put in the place of what, until the echo has told whether that was still so.

alter table connector.link add column sent jsonb not null default '{}';
alter table connector.work add column told jsonb not null default '{}';
comment on column connector.link.sent is 'line → {seen, sent}: the CRM''s value as it was read before the write, and as it was stored';
comment on column connector.work.told is 'event id → {now, was, at}: changes of fields as events told them';
