"""Predictions by hand: what a few exchanges must look like on the wire in each world."""
from pathlib import Path

import pytest

from analysis import line, theory
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
    assert line.bytes_on_the_line(_run(world), log) == {"packets": 3, "bytes": 54 + 3 * 52}


def test_qos_2_has_one_acknowledgement_more_on_linux():
    log = _warm((1000.0, "wrote", {"bytes": 50}), (1040.0, "read", {"bytes": 4}),
                (1040.0, "wrote", {"bytes": 4}), (1080.0, "read", {"bytes": 4}))
    assert line.bytes_on_the_line(_run("ns3", qos="2"), log)["packets"] == 5
    assert line.bytes_on_the_line(_run("linux", qos="2"), log)["packets"] == 6


def test_large_payloads_are_acknowledged_every_second_segment():
    log = _warm((1000.0, "wrote", {"bytes": 4 * 1448}), (1040.0, "read", {"bytes": 4}))
    # four segments out, two acknowledgements, the answer, and its own
    assert line.bytes_on_the_line(_run("ns3"), log)["packets"] == 4 + 2 + 1 + 1


def test_where_packets_were_lost_nothing_is_predicted():
    log = _warm((1000.0, "wrote", {"bytes": 50}))
    log.events.append({"time_ms": 1001.0, "node": "radio", "service": "link", "event": "lost"})
    assert line.bytes_on_the_line(_run(), log) is None


def _passed(at, way, flags, sequence, acknowledges, data=0, port=40000, header=52):
    return {"time_ms": at, "node": "radio", "service": "link", "event": "passed", "end": "dev", "way": way,
            "bytes": header + data, "port": port, "flags": flags, "sequence": sequence,
            "acknowledges": acknowledges, "data": data}


def _cold(crossed, more=()):
    """One publish at QoS 0 over Linux on a connection of its own, as it was seen on the line."""
    log = _log(READY, (1000.0, "begun", {"number": 1}), (1040.0, "tcp", {"local": "10.0.0.1:40000"}),
               (1040.0, "wrote", {"bytes": 30}), (1080.3, "read", {"bytes": 13}),
               (1080.4, "wrote", {"bytes": 52}), (1080.4, "wrote", {"bytes": 2}),
               (1080.5, "ended", {"how": "shutdown"}))
    seen = [_passed(1000.1, "sent", "S", 99, 0, header=60),
            _passed(1040.1, "received", "SA", 499, 100, header=60),
            _passed(1040.2, "sent", "A", 100, 500), _passed(1040.3, "sent", "A", 100, 500, 30),
            _passed(1080.2, "received", "A", 500, 130), _passed(1080.2, "received", "A", 500, 130, 13),
            _passed(1080.3, "sent", "A", 130, 513), _passed(1080.5, "sent", "A", 130, 513, 52),
            _passed(1080.5, "sent", "A", 182, 513, 2), _passed(1080.6, "sent", "FA", 184, 513),
            _passed(1120.7, "received", "A", 513, 184 if crossed else 185),
            _passed(1120.7, "received", "FA", 513, 184 if crossed else 185),
            _passed(1120.8, "sent", "A", 185, 514)]
    if crossed:
        seen.append(_passed(1121.0, "received", "A", 514, 185))
    log.events = sorted(log.events + seen + list(more), key=lambda e: e["time_ms"])
    return log


@pytest.mark.parametrize("crossed", [False, True])
def test_fins_that_cross_cost_an_acknowledgement_more(crossed):
    run = _run("linux", qos="0", connection="cold")
    packets = 14 if crossed else 13
    assert line.by_operation(run, _cold(crossed)) == [
        {"packets": packets, "bytes": packets * 52 + 97 + 16, "packets_theory": packets,
         "bytes_theory": packets * 52 + 97 + 16}]


def test_what_was_sent_again_is_measured_and_not_predicted():
    run = _run("linux", qos="0", connection="cold")
    log = _cold(False, [_passed(1100.0, "sent", "A", 130, 513, 52)])
    operation, = line.by_operation(run, log)
    assert (operation["packets"], operation["packets_theory"]) == (14, 13)
    assert line.sent_again(run, log) == 1
    assert line.sent_again(run, _cold(True)) == 0


def test_a_missing_or_needless_acknowledgement_shows():
    run = _run("linux", qos="0", connection="cold")
    log = _cold(False)
    log.events = [e for e in log.events if e["time_ms"] != 1080.3 or e["event"] != "passed"]
    operation, = line.by_operation(run, log)
    assert operation["packets"] == operation["packets_theory"] - 1
