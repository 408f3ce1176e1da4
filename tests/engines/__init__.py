import pytest

# The suite is part of the package, not of the tests: without this its assertions show no values.
pytest.register_assert_rewrite("perdure.testing.conformance")
