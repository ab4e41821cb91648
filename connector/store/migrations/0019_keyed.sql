-- A listing keeps the match keys of its records by the rules of its time; under other rules they are kept anew.

alter table connector.sweep add column keys text;
comment on column connector.sweep.keys is 'digest of the match rules under which the listing kept the keys of all records';
