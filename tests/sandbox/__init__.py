"""Tests of the Pipedrive sandbox."""
