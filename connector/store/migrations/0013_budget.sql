-- What a connection has spent of the CRM's budget today, so that a restart does not spend it again.

create table connector.budget (
    connection text primary key,
    day        date not null,
    spent      double precision not null,
    daily      double precision,
    remaining  double precision,
    at         timestamptz not null
);
comment on table connector.budget is
    'day: in UTC; spent: by this connection; daily, remaining: as the CRM told last. What the CRM tells next wins.';
