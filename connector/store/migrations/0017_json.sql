-- Bases and the journal's lines are written and read whole. As jsonb each is taken apart at every write and put together
-- at every read, which costs more than all the rest of storing a link.

alter table connector.link alter column base drop default;
alter table connector.link alter column base type json using base::json, alter column base set default '{}';
alter table connector.journal alter column lines drop default;
alter table connector.journal alter column lines type json using lines::json, alter column lines set default '{}';
