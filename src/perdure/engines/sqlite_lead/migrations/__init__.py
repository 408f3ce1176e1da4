"""The steps of the schema, as SQL."""
