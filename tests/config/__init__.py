"""The loader, the settings, the schema and the manual."""
