-- What a column held before `deletes.set` wrote it is put back when the record lives again.

update connector.link set restore = (
    select jsonb_object_agg(r.key, jsonb_build_array(null, r.value)) from jsonb_each(restore) r)
where restore <> '{}';
comment on column connector.link.restore is 'column → [before, written]: what deletes.set wrote into the row of a deleted record';
