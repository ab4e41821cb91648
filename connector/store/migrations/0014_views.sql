-- The CRM's definitions as people and reports read them: users, pipelines, stages, fields. Pages are where the CRM has them.

create or replace view connector.link_status as
select l.connection, l.mapping, l.object, l.app_key, l.crm_id,
       case when w.state in ('parked', 'braked', 'waiting', 'retry') then w.state else l.state end as state,
       coalesce(w.cause, l.cause) as last_error,
       w.waiting_for as blocked_by,
       l.held as held_values,
       (c.account -> 'pages' ->> l.object) || l.crm_id as crm_url,
       l.committed_at as synced_at
from connector.link l
join connector.connection c using (connection)
left join connector.work w on w.link_id = l.id;

create view connector.crm_user as
select c.connection, u ->> 'id' as id, u ->> 'name' as name, u ->> 'email' as email, (u ->> 'active')::boolean as active
from connector.connection c cross join lateral jsonb_array_elements(c.metadata -> 'users') u;

create view connector.pipeline as
select c.connection, p.key as id, p.value as name
from connector.connection c cross join lateral jsonb_each_text(c.metadata -> 'pipelines') p;

create view connector.stage as
select c.connection, s ->> 'id' as id, s ->> 'name' as name, s ->> 'pipeline_id' as pipeline_id, p.name as pipeline
from connector.connection c cross join lateral jsonb_array_elements(c.metadata -> 'stages') s
left join connector.pipeline p on p.connection = c.connection and p.id = s ->> 'pipeline_id';

create view connector.field as
select c.connection, o.key as object, f ->> 'key' as key, f ->> 'name' as name, f ->> 'type' as type,
       (f ->> 'custom')::boolean as custom, (f ->> 'writable')::boolean as writable,
       array(select w ->> 'label' from jsonb_array_elements(f -> 'options') w) as options
from connector.connection c cross join lateral jsonb_each(c.metadata -> 'fields') o
cross join lateral jsonb_array_elements(o.value) f;

comment on view connector.crm_user is 'Users of the CRM account, as last read.';
comment on view connector.pipeline is 'Pipelines of the CRM account, as last read.';
comment on view connector.stage is 'Stages with their pipelines, as last read.';
comment on view connector.field is 'Fields of every object with their keys, types and options, as last read.';
comment on view connector.link_status is 'Each row with its CRM record: state, last error, what blocks it, and where to open it.';
comment on function connector.synced(regclass, text) is 'What became of one row, by table and key.';
