-- What a write replaces, so that its echo can tell whether that was still so even where its answer never came.

alter table connector.intent add column replaced jsonb not null default '{}';
comment on column connector.intent.replaced is 'line → the CRM''s value as it was read before the write';
