"""The app's tables, as the connector sees them."""
