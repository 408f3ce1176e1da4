"""Every Python block of the documentation runs in the test suite, page by page."""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()], patterns=["*.md"], excludes=["examples/**", "benchmarks/**"]
).pytest()
