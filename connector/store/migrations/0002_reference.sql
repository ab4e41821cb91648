-- Parents without which a record went on: once one of them is linked, the reference follows as a second write.

create table connector.reference (
    link_id bigint not null references connector.link on delete cascade,
    mapping text not null,
    side    text not null check (side in ('app', 'crm')),
    key     text not null,
    primary key (link_id, mapping, side, key)
);
create index reference_parent on connector.reference (mapping, side, key);
comment on table connector.reference is
    'The parent as its child names it: mapping, the side on which the child names it, and its key there.';
