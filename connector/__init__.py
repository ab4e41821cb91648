"""Two-way sync between the tables of your own PostgreSQL database and a CRM.

The rooms, from the street to the cellar; a room imports only rooms on lower lines, and rooms on one line do not
import each other (import-linter checks it):

    __main__                                entry point
    cli                                     commands; talks to people
    app                                     composition root
    engine    service                       what happens when | HTTP towards callers
    crm  local  store  config  postgres     CRM adapters | the app's tables | our schema | settings, mappings | embedded server
    ports                                   what the engine asks of a CRM and of the local side
    obs                                     logs, metrics
    core                                    pure: model, convert, merge, plan

    sandbox                                 the Pipedrive emulator; imports nothing of ours but obs, imported by cli only

Reading order: core.model, core.plan, ports, engine, crm.pipedrive, store, app.
"""
