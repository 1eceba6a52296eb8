"""What a watch brings during a visit: the echo of our own writes, or news."""

from durafleet.controllers.runs.memory import Memory


def test_an_echo_that_comes_before_the_answer_to_the_write_is_no_news():
    memory = Memory("uid")
    memory.enter()
    memory.brought.append("7")
    memory.written.append("7")
    assert not memory.leave()


def test_what_somebody_else_wrote_during_a_visit_is_news_after_it():
    memory = Memory("uid")
    memory.enter()
    memory.written.append("7")
    memory.brought += ["7", "8"]
    assert memory.leave()


def test_each_visit_begins_with_nothing_brought():
    memory = Memory("uid")
    memory.enter()
    memory.brought.append("8")
    memory.leave()
    memory.enter()
    assert memory.visited
    assert not memory.leave()
    assert not memory.visited
