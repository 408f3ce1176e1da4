"""A module that cannot be imported."""

raise RuntimeError("the module does not want to")
