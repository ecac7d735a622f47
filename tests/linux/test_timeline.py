"""Which step of a timeline is due when: decisions, without any network."""

from builder.timeline import Timeline


def run(**parts):
    return {"budget_ms": 1000.0, "linger_ms": 50.0, "timeline": [], **parts}


def test_steps_come_in_the_order_of_their_time_once_each():
    line = Timeline(run(timeline=[{"at_ms": 20.0, "do": "b"}, {"at_ms": 10.0, "do": "a"},
                                  {"at_ms": 10.0, "do": "a2"}]))
    assert line.next_ms() == 10.0
    assert line.take_due(9.9) == []
    assert [step["do"] for step in line.take_due(30.0)] == ["a", "a2", "b"]
    assert line.take_due(30.0) == []


def test_a_condition_waits_for_every_node_and_counts_from_the_last():
    line = Timeline(run(timeline=[{"when": {"event": "punch.ready", "nodes": ["a", "b"]},
                                   "after_ms": 5.0, "do": "connect"}]))
    line.saw("punch.ready", "a", 100.0)
    line.saw("punch.ready", "a", 150.0)  # only the first counts
    line.saw("punch.ready", "c", 160.0)
    line.saw("punch.result", "b", 170.0)
    assert line.take_due(500.0) == []
    line.saw("punch.ready", "b", 120.0)
    assert line.next_ms() == 125.0
    assert len(line.take_due(125.0)) == 1


def test_without_nodes_anybody_will_do():
    line = Timeline(run(until={"event": "stun.result"}))
    line.saw("stun.result", "x", 30.0)
    assert (line.end_ms(), line.why()) == (80.0, "until")


def test_the_budget_ends_it_where_the_condition_does_not():
    line = Timeline(run(until={"event": "punch.result", "nodes": ["a", "b"]}))
    line.saw("punch.result", "a", 30.0)
    assert (line.end_ms(), line.why()) == (1000.0, "budget")
    line.saw("punch.result", "b", 990.0)
    assert line.end_ms() == 1000.0  # lingering does not outlast the budget
