create schema crm;
create table crm.people (id uuid primary key default gen_random_uuid(), given text, family text, mail text);
create table crm.calls (id bigint generated always as identity primary key, about text, person uuid references crm.people);
