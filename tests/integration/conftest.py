"""Fixtures of the tests on real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import control_plane, namespace
from tests.support.servers import servers
from tests.support.temporal import temporal_server

__all__ = ["control_plane", "namespace", "pytest_terminal_summary", "servers", "temporal_server"]


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """Folders for the logs of several operators."""

    def each() -> Iterator[Path]:
        for number in range(100):
            folder = tmp_path / str(number)
            folder.mkdir()
            yield folder

    return each()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests record, such as the number of crash points."""
    reports_with_figures = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call" and report.user_properties
    ]
    if reports_with_figures:
        terminalreporter.section("recorded figures")
    for report in reports_with_figures:
        figures = ", ".join(f"{name}: {value}" for name, value in report.user_properties)
        terminalreporter.write_line(f"{report.nodeid}: {figures} ({report.duration:.0f} s)")
