-- An intent whose link went to another half stayed open for ever: nobody could find out about it any more.
delete from connector.intent i where not exists (select from connector.link l where l.id = i.link_id);
