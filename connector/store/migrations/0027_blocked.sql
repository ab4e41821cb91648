-- Why nothing of a mapping is worked on for now, in words for people: its table is locked.

alter table connector.mapping add column blocked text;
comment on column connector.mapping.blocked is 'Why nothing of it is worked on for now; NULL where it is';
