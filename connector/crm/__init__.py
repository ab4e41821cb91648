"""Adapters to CRMs, one folder each, and what they share: HTTP, budget, errors translated at the edge.

Lives here: whatever knows a URL, a JSON key, a header, a quirk. Not here: decisions about records, SQL.
May import ``ports``, ``obs``, ``core``; only ``app`` and ``cli`` import a vendor's folder.
"""
