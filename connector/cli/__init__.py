"""The commands; the one room that talks to people on a terminal.

Lives here: arguments, prompts, tables, progress, exit codes, the one line on stderr. Not here: decisions about
records, SQL, HTTP to a CRM. May import every room below it, a vendor and the sandbox.
"""
