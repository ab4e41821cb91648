"""The tests of Connector."""
