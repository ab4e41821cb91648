-- Which migrations no older version may work with; all others only add.

alter table connector.migration add column breaks boolean not null default false;
