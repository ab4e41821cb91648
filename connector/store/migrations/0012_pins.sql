-- What the names of the mapping files stood for when they were first seen, and the lines that are set aside.

alter table connector.connection add column pins jsonb not null default '{}';
comment on column connector.connection.pins is
    'fields: object → name → {key, type}; columns: table → column → {key, type}; words: object → field → word → option; lines: mapping → line → {returns, aside}';
