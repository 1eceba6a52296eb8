"""Watch events during a reconciliation: echoes of our own writes, or changes by another client."""

from durafleet.controllers.runs.memory import Memory


def test_an_echo_that_arrives_before_the_response_to_the_write_is_not_a_change():
    memory = Memory("uid")
    memory.begin()
    memory.events_seen.append("7")
    memory.written.append("7")
    assert not memory.end()


def test_a_write_by_another_client_during_a_reconciliation_is_a_change():
    memory = Memory("uid")
    memory.begin()
    memory.written.append("7")
    memory.events_seen += ["7", "8"]
    assert memory.end()


def test_each_reconciliation_starts_without_observed_versions():
    memory = Memory("uid")
    memory.begin()
    memory.events_seen.append("8")
    memory.end()
    memory.begin()
    assert memory.reconciling
    assert not memory.end()
    assert not memory.reconciling
