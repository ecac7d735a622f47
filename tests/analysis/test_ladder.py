"""Ladders: a packet is followed through both NATs by its mark, and ends where the log says."""

import xml.etree.ElementTree as xml

import synthetic
from synthetic import event

from analysis.events import Log
from analysis.ladder import MAX_FLIGHTS, build
from analysis.ladder_svg import draw

RUN = synthetic.run("ns3", "eim-eif", "eim-apdf")


def ladder(events):
    return build(RUN, Log("x", events))


def test_columns_are_in_the_order_of_the_way():
    assert ladder(synthetic.log(RUN)).columns == ["a", "nat_a", "s", "nat_b", "b"]


def test_a_packet_that_arrives():
    flight, = ladder(synthetic.log(RUN)).flights
    assert [(h.node, h.what) for h in flight.hops] == [
        ("a", "sent"), ("nat_a", "translated"), ("nat_b", "translated"), ("b", "received")]
    assert flight.end == "received"
    assert "10.1.0.2:40 → 198.51.100.2:4000" in flight.hops[1].label
    assert "→ 10.2.0.2:50" in flight.hops[2].label


def test_a_packet_that_is_dropped():
    flight, = ladder(synthetic.log(RUN, direct=False)).flights
    assert (flight.end, flight.hops[-1].node, flight.hops[-1].label) == (
        "dropped", "nat_b", "filtered_port")


def test_the_same_mark_twice_is_two_packets():
    first = synthetic.log(RUN)
    again = [dict(e, time_ms=e["time_ms"] + 7) for e in first if e.get("packet")]
    flights = ladder(sorted(first + again, key=lambda e: e["time_ms"])).flights
    assert [f.end for f in flights] == ["received", "received"]
    assert [len(f.hops) for f in flights] == [4, 4]
    assert flights[1].hops[-1].time_ms == 166


def test_lost_on_a_link_and_never_seen_again():
    events = [e for e in synthetic.log(RUN) if e["time_ms"] < 140 or e["service"] == "run"]
    assert ladder(events).flights[0].end == "unknown"
    lost = event(134, "up_a", "link.lost", source="198.51.100.2:4000",
                 destination="198.51.100.130:5000", packet="aaaa0001", why="loss")
    assert ladder(events[:-1] + [lost, events[-1]]).flights[0].end == "lost"


def test_server_talk_is_summarised():
    found = ladder(synthetic.log(RUN)).exchanges
    assert any("registered as 198.51.100.2:4000" in e.text for e in found)
    assert sum("peer at" in e.text for e in found) == 2


def test_the_drawing_is_xml_and_hides_nothing_hostile():
    hostile = '<script>alert(1)</script>"&'
    events = synthetic.log(RUN, direct=False, reason=hostile)
    svg = draw(ladder(events), standalone=True)
    xml.fromstring(svg)
    assert "<script" not in svg and "filtered_port" in svg and "NOT DIRECT" in svg


def test_a_flood_is_bounded():
    events = [event(i, "a", "punch.probe_sent", to="192.0.2.1:1", kind="probe", ttl=64,
                    packet="%08x" % i) for i in range(5000)]
    drawn = ladder(events)
    assert len(drawn.flights) == MAX_FLIGHTS and any("4850 more" in r for r in drawn.remarks)
    assert len(draw(drawn)) < 400_000


def test_an_empty_log_can_be_drawn():
    xml.fromstring(draw(ladder([])))
    xml.fromstring(draw(build({"id": "x", "world": "ns3"}, Log("x", []))))


def test_the_kernels_silence_is_explained():
    run = synthetic.run("linux", "eim-eif", "eim-eif", engine="kernel")
    events = [e for e in synthetic.log(run) if e["service"] != "nat"]
    drawn = build(run, Log("x", events))
    assert any("keeps no log" in r for r in drawn.remarks)
    assert [h.node for h in drawn.flights[0].hops] == ["a", "b"]


def test_a_drop_at_a_nat_off_the_way_is_left_out():
    run = synthetic.run("ns3", "eim-eif", "eim-eif")
    run["nodes"].append({"name": "far", "kind": "nat", "nat": {"kind": "x"}})
    drop = event(140, "far", "nat.dropped", source="1.2.3.4:5", destination="1.2.3.5:6",
                 why="no_mapping", packet="bbbb0001")
    drawn = build(run, Log("x", synthetic.log(run)[:-1] + [drop]))
    assert "far" not in drawn.columns
    xml.fromstring(draw(drawn))
