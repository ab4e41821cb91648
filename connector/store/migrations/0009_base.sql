-- Bases are read for every record of a page: line → [app, crm, rule] is half as long as line → {app, crm, rule}.

update connector.link l set base = (
    select jsonb_object_agg(b.key, jsonb_build_array(b.value -> 'app', b.value -> 'crm', b.value -> 'rule'))
    from jsonb_each(l.base) b)
where l.base <> '{}';
update connector.intent i set seen = (
    select jsonb_object_agg(b.key, jsonb_build_array(b.value -> 'app', b.value -> 'crm', b.value -> 'rule'))
    from jsonb_each(i.seen) b)
where i.seen <> '{}';
comment on column connector.link.base is 'line → [app, crm, rule]: what both sides last agreed on, each in its own spelling';

-- Nobody searches by these, and looking at a thousand bytes of them per row is most of an ANALYZE.

alter table connector.link alter column base set statistics 0, alter column sent set statistics 0;
