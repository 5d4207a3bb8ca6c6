"""The browser of the tests of the report."""

from report.conftest import driver as driver
