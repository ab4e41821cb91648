-- A mapping that is taken out of the set keeps its links until it comes back: since when, for people to see.

alter table connector.mapping add column left_at timestamptz;
comment on column connector.mapping.left_at is 'when it was no longer in the applied set; null while it is';
