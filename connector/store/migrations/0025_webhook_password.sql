-- Webhook passwords have a table of their own: while one takes the place of another, both are valid.

create table connector.webhook_password (
    connection text not null,
    number     integer not null,
    sealed     bytea not null,
    made_at    timestamptz not null,
    due_at     timestamptz not null,
    ends_at    timestamptz,
    primary key (connection, number)
);
comment on column connector.webhook_password.due_at is 'when another shall take its place';
comment on column connector.webhook_password.ends_at is 'until when deliveries under it are still taken; null: no end is set';
insert into connector.webhook_password (connection, number, sealed, made_at, due_at)
select connection, 1, webhook_secret, now(), now() + interval '90 days'
from connector.connection where webhook_secret is not null;
alter table connector.connection drop column webhook_secret;
