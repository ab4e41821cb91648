-- A release is for what was stopped then: it stands with the item, and is spent when the item's write has happened.

alter table connector.work add column released text[] not null default '{}';
comment on column connector.work.released is 'SIDE_EFFECT words that a person let go on for this item';
