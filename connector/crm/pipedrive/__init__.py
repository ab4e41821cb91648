"""Pipedrive behind the CRM port: client, fields, records, webhooks, OAuth.

Lives here: every name and quirk of Pipedrive. Not here: anything another vendor could need.
May import ``crm``, ``ports``, ``obs``, ``core``; imported by ``app`` and ``cli`` only.
"""
