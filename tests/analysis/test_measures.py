"""The measure language, against logs written out by hand."""

import pytest
from synthetic import MEASURES, event, log, run

from analysis.errors import AnalysisError
from analysis.events import Log
from analysis.measures import check_measures, evaluate, needed_events

RUN = run("ns3", "eim-eif", "eim-eif")


def value(measure, events, earlier=()):
    measures = list(earlier) + [{"name": "m", **measure}]
    check_measures(measures)
    return evaluate(measures, RUN, Log("x", events))["m"]


RESULTS = [event(10, "a", "punch.result", direct=True, n=3),
           event(20, "b", "punch.result", direct=False, n=5),
           event(30, "a", "punch.result", direct=True, n=7)]
ALL = {"of": "all", "event": "punch.result", "nodes": ["a", "b"], "field": "direct"}


def test_all_needs_every_node_and_every_event_true():
    assert value(ALL, RESULTS) is False
    assert value(dict(ALL, nodes=["a"]), RESULTS) is True
    assert value(ALL, RESULTS[:1]) is False  # b never said so
    assert value(ALL, []) is None  # nobody answered: not "no"


def test_any():
    assert value(dict(ALL, of="any"), RESULTS) is True
    assert value(dict(ALL, of="any", nodes=["b"]), RESULTS) is False


@pytest.mark.parametrize("of, expected", [("first", 3), ("last", 7), ("max", 7), ("min", 3),
                                          ("sum", 15), ("count", 3)])
def test_numbers(of, expected):
    measure = {"of": of, "event": "punch.result", "field": "n"}
    assert value(measure, RESULTS) == expected


def test_numbers_of_nothing():
    assert value({"of": "max", "event": "punch.result", "field": "n"}, []) is None
    assert value({"of": "count", "event": "punch.result"}, []) == 0
    assert value({"of": "count", "event": "home-monitor.answered"}, []) == 0  # as services are called


def test_true_is_not_the_number_one():
    assert value({"of": "sum", "event": "punch.result", "field": "direct"}, RESULTS) is None


def test_pick_per_node_and_where():
    measure = {"of": "sum", "event": "punch.result", "field": "n"}
    assert value(dict(measure, pick="last"), RESULTS) == 12
    assert value(dict(measure, pick="first"), RESULTS) == 8
    assert value(dict(measure, where={"direct": True}), RESULTS) == 10


def test_elapsed_waits_for_every_named_node():
    measure = {"of": "elapsed", "from": {"event": "punch.start"},
               "to": {"event": "punch.result", "nodes": ["a", "b"], "pick": "last"}}
    events = [event(4, "a", "punch.start")] + RESULTS[:2]
    assert value(measure, events) == 16
    assert value(measure, events[:2]) is None
    assert value(measure, events[1:]) is None


def test_only_if_and_initiator():
    direct = evaluate(MEASURES, RUN, Log("x", log(RUN, True)))
    assert direct == {"direct": True, "time_ms": 92.0, "reason": ""}
    refused = evaluate(MEASURES, RUN, Log("x", log(RUN, False)))
    assert refused == {"direct": False, "time_ms": None, "reason": "one_address_trusted"}


def test_needed_events():
    assert needed_events(MEASURES) == {"punch.result", "punch.connect_requested"}


@pytest.mark.parametrize("measure, word", [
    ({"of": "most"}, "unknown `of"), ({"of": "count", "event": "result"}, "service.event"),
    ({"of": "count", "event": "a.b", "colour": 1}, "unknown key `colour`"),
    ({"of": "max", "event": "a.b"}, "needs a `field`"),
    ({"of": "count", "event": "a.b", "pick": "middle"}, "unknown `pick"),
    ({"of": "count", "event": "a.b", "only_if": "ghost"}, "ghost"),
    ({"of": "elapsed", "from": {"event": "a.b"}}, "`to`"),
    ({"of": "elapsed", "from": {"event": "a.b"}, "to": {"event": "a.b", "x": 1}}, "key `x`")])
def test_mistakes_are_one_sentence(measure, word):
    with pytest.raises(AnalysisError, match="measure 'm'") as error:
        check_measures([{"name": "m", **measure}])
    assert word in str(error.value) and "\n" not in str(error.value)


def test_unknown_parameter_in_nodes():
    with pytest.raises(AnalysisError, match="nobody"):
        value({"of": "count", "event": "punch.result", "nodes": ["$nobody"]}, RESULTS)
