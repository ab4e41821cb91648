-- What the CRM refused, so that no sweep sends it again while both sides stand as they did.

alter table connector.link add column refused jsonb not null default '{}';
comment on column connector.link.refused is 'line → [app, crm, rule, version]: what both sides held when the CRM refused the value';
