-- What the brake stops is said by the work items alone: a brake is tripped while it stops something, and what is undone
-- on the side where it was done needs no release.

alter table connector.work add column braked text[] not null default '{}', add column braked_at timestamptz;
comment on column connector.work.braked is
    'What the brake stops of this item: SIDE_EFFECT, or "SIDE_EFFECT LINE" of a single line; the rest of the record goes on';
comment on column connector.work.released is 'What of `braked` a person let go on, in the same words';
update connector.work set braked = string_to_array(replace(cause, 'brake:', ''), ','), braked_at = noticed_at
    where state = 'braked';
create index work_braked on connector.work (connection) where braked <> '{}';
alter table connector.brake drop column tripped_at;
