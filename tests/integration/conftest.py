"""Fixtures of the tests against real servers."""

import pytest

from tests.support.cluster import control_plane, namespace
from tests.support.servers import servers
from tests.support.temporal import temporal_server

__all__ = ["control_plane", "namespace", "pytest_terminal_summary", "servers", "temporal_server"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests have counted: how much a sweep covered is part of its result."""
    counted = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call" and report.user_properties
    ]
    if counted:
        terminalreporter.section("counted")
    for report in counted:
        facts = ", ".join(f"{name}: {value}" for name, value in report.user_properties)
        terminalreporter.write_line(f"{report.nodeid}: {facts} ({report.duration:.0f} s)")
