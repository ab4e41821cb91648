-- Records that were merged into others: the loser's link follows along the chain, whenever it is looked at.

create table connector.alias (
    connection text not null,
    object     text not null,
    loser      text not null,
    survivor   text not null,
    at         timestamptz not null,
    primary key (connection, object, loser)
);
create index alias_survivor on connector.alias (connection, object, survivor);
