"""Predictions by hand: what a few exchanges must look like on the wire in each world."""
from pathlib import Path

import pytest

from analysis import theory
from analysis.events import Log


def _run(world="ns3", **case):
    parameters = {"protocol": "mqtt5", "operation": "publish", "qos": "1", "tls": "none",
                  "connection": "warm", **case}
    links = [("dev", "broker", 20.0), ("broker", "server", 5.0), ("dev", "server", 20.0)]
    return {"world": world, "parameters": parameters,
            "nodes": [{"name": n, "kind": "host"} for n in ("dev", "broker", "server")],
            "links": [{"name": a + b, "ends": [a, b], "delay_ms": d} for a, b, d in links]}


@pytest.mark.parametrize("case, rounds", [
    ({"qos": "0"}, 0.5), ({"qos": "1"}, 1), ({"qos": "2"}, 2),
    ({"connection": "cold"}, 3), ({"connection": "cold", "tls": "1.3"}, 4),
    ({"connection": "cold", "tls": "1.2"}, 5), ({"connection": "cold", "tls": "resumed"}, 4),
    ({"protocol": "http", "qos": "-"}, 1),
    ({"protocol": "http", "qos": "-", "connection": "cold", "tls": "1.2"}, 4),
    ({"operation": "request", "qos": "2"}, 1.25),
    ({"operation": "request", "qos": "0", "connection": "cold"}, 4.25),
    ({"protocol": "http-longpoll", "qos": "-", "operation": "request"}, 1.25),
])
def test_round_trips_are_those_of_the_table(case, rounds):
    assert theory.round_trips(_run(**case))["rtts"] == pytest.approx(rounds)


def test_what_is_no_measurement_of_messages_has_no_theory():
    run = _run()
    run["parameters"] = {"nat_a": "symmetric"}
    assert theory.round_trips(run) is None


def _log(*events):
    """Events of `dev` from (time, name, fields)."""
    made = [{"time_ms": t, "node": "dev", "service": "latency", "event": e, **f} for t, e, f in events]
    return Log(Path("x"), events=made)


READY = (900.0, "ready", {"rtt_ms": 40.0})


def _warm(*moves):
    """A connection made and used before what is counted begins at 1000."""
    return _log((1.0, "tcp", {}), (1.0, "wrote", {"bytes": 30}), (41.0, "read", {"bytes": 5}), READY,
                (1000.0, "begun", {"number": 1}), *moves)


@pytest.mark.parametrize("world", ["ns3", "linux"])
def test_qos_1_on_a_warm_connection_is_three_packets(world):
    log = _warm((1000.0, "wrote", {"bytes": 50}), (1040.0, "read", {"bytes": 4}))
    assert theory.bytes_on_the_line(_run(world), log) == {"packets": 3, "bytes": 54 + 3 * 52}


def test_qos_2_has_one_acknowledgement_more_on_linux():
    log = _warm((1000.0, "wrote", {"bytes": 50}), (1040.0, "read", {"bytes": 4}),
                (1040.0, "wrote", {"bytes": 4}), (1080.0, "read", {"bytes": 4}))
    assert theory.bytes_on_the_line(_run("ns3", qos="2"), log)["packets"] == 5
    assert theory.bytes_on_the_line(_run("linux", qos="2"), log)["packets"] == 6


def test_large_payloads_are_acknowledged_every_second_segment():
    log = _warm((1000.0, "wrote", {"bytes": 4 * 1448}), (1040.0, "read", {"bytes": 4}))
    # four segments out, two acknowledgements, the answer, and its own
    assert theory.bytes_on_the_line(_run("ns3"), log)["packets"] == 4 + 2 + 1 + 1


def test_where_packets_were_lost_nothing_is_predicted():
    log = _warm((1000.0, "wrote", {"bytes": 50}))
    log.events.append({"time_ms": 1001.0, "node": "radio", "service": "link", "event": "lost"})
    assert theory.bytes_on_the_line(_run(), log) is None
