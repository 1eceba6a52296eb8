"""Small rules that several kinds share."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durafleet.api.durations import format_duration, parse_duration
from durafleet.api.run import PREVIEW_LIMIT
from durafleet.api.status import Reason
from durafleet.core.conditions import Summary, Verdict
from durafleet.core.runs.execution import ExecutionStatus, latest
from durafleet.core.runs.identity import run_key, workflow_id
from durafleet.core.runs.results import summarise_result, truncate_utf8
from durafleet.core.workers.pollers import Pod, Poller, pod_problem, polling_pods
from tests.support.builders import NOON, a_closed, a_run, an_execution


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("500ms", 0.5), ("1h", 3600), ("0s", 0), ("2m2s", 122)]
)
def test_a_duration_is_parsed(text: str, seconds: float):
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "10", "1.5h", "-1s", "1d", "10 s", "s"])
def test_an_invalid_duration_is_refused_with_an_example(text: str):
    with pytest.raises(ValueError, match="90s or 1h30m"):
        parse_duration(text)


@given(st.integers(0, 10**6))
def test_a_formatted_duration_parses_to_the_same_value(seconds: int):
    assert parse_duration(format_duration(timedelta(seconds=seconds))).total_seconds() == seconds


@given(st.text(max_size=3000), st.integers(0, 5000))
def test_a_preview_is_truncated_at_a_character_boundary(text: str, limit: int):
    preview = truncate_utf8(text, limit)
    assert text.startswith(preview)
    assert len(preview.encode()) <= limit


def test_a_truncated_result_reports_its_full_size_and_digest():
    answer = "é" * PREVIEW_LIMIT
    result = summarise_result(f'"{answer}"', ref="temporal://default/w?run=r")
    assert result is not None
    assert len(result.preview.encode()) <= PREVIEW_LIMIT
    assert result.size == 2 * PREVIEW_LIMIT
    assert result.sha256 == hashlib.sha256(answer.encode()).hexdigest()


def test_a_workflow_without_a_result_gets_no_result_summary():
    assert summarise_result(None, ref="") is None


def test_a_transition_time_changes_only_with_the_status_of_its_condition():
    verdict = Verdict(Reason.RUNNING, "x")
    first = Summary(ready="Unknown", verdict=verdict).conditions([], generation=1, now=NOON)
    other = Summary(ready="Unknown", verdict=Verdict(Reason.CANCELLING, "y"))
    second = other.conditions(first, generation=1, now=NOON + timedelta(hours=1))
    assert second[0].last_transition_time == first[0].last_transition_time
    third = Summary(ready="True", verdict=verdict).conditions(second, generation=1, now=NOON + timedelta(hours=1))
    assert third[0].last_transition_time != first[0].last_transition_time


def test_a_late_open_row_does_not_reopen_a_closed_execution():
    closed = a_closed(ExecutionStatus.COMPLETED, result='"x"')
    assert latest(closed, an_execution()) == closed


def test_the_latest_execution_of_a_chain_wins():
    younger = an_execution(run_id="run-2", start_time=NOON + timedelta(minutes=5))
    assert latest(an_execution(), younger) == younger
    assert latest(younger, an_execution()) == younger


def test_the_key_of_a_run_can_be_read_from_its_workflow_id():
    assert run_key(workflow_id(a_run())) == ("default", "hello")
    assert run_key("somebody-elses") is None


def a_pod(name: str = "support-abc", **changes: object) -> Pod:
    return replace(Pod(name=name, ready=True, started=NOON, created=NOON), **changes)  # type: ignore[arg-type]


def test_a_poller_is_matched_to_its_pod_by_the_pod_name_in_its_identity():
    poller = Poller(identity="1@support-abc", last_access=NOON - timedelta(hours=1))
    assert polling_pods([a_pod()], [poller]) == 1


def test_a_poller_with_a_custom_identity_counts_only_if_it_polled_after_the_pod_started():
    assert polling_pods([a_pod()], [Poller("mine", NOON + timedelta(seconds=1))]) == 1
    assert polling_pods([a_pod()], [Poller("mine", NOON - timedelta(seconds=1))]) == 0


def test_a_pod_that_has_not_started_does_not_count_as_polling():
    assert polling_pods([a_pod(started=None)], [Poller("1@support-abc", NOON)]) == 0


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (a_pod(waiting=("ErrImagePull", "not found")), Reason.IMAGE_PULL_FAILED),
        (a_pod(waiting=("ImagePullBackOff", "")), Reason.IMAGE_PULL_FAILED),
        (a_pod(waiting=("CreateContainerConfigError", 'secret "x" not found')), Reason.POD_REJECTED),
        (a_pod(waiting=("CrashLoopBackOff", ""), last_words="no module tools"), Reason.CRASH_LOOP),
    ],
)
def test_a_pod_that_cannot_run_is_reported_with_its_reason_and_message(pod: Pod, reason: Reason):
    verdict = pod_problem([pod], image="mine:1")
    assert verdict is not None
    assert verdict.reason == reason
    assert (pod.last_words or pod.waiting[1]) in verdict.message


def test_a_pod_that_is_starting_is_not_reported_as_a_problem():
    assert pod_problem([a_pod(waiting=("ContainerCreating", ""), ready=False)], image="mine:1") is None
