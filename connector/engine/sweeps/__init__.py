"""Listings of the CRM, page by page: recent and full sweeps, fetch-all, and its preview."""
