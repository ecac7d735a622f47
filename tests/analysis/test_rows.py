"""Rows and summary: the shape of results.csv, and that nothing lost is counted as not direct."""

import csv
import json

import pytest
import synthetic

from analysis import bounds
from analysis.bounds import Timing, bound
from analysis.errors import AnalysisError
from analysis.events import Log, read_log, scan_log
from analysis.rows import rows_from

EXPECT = {"where": {"technique": "culvert"}, "measure": "direct", "always": 8, "never": 1}


def made(tmp_path, **options):
    plan = synthetic.plan(**options)
    return plan, synthetic.write(tmp_path, plan)


def test_results_csv_begins_as_promised(tmp_path):
    plan, folder = made(tmp_path)
    frame = rows_from(plan, folder)
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert ",".join(rows[0]).startswith("world,nat_a,nat_b,technique,seed,direct,time_ms,reason,")
    assert len(rows) == 1 + 18 == 1 + len(frame)
    assert rows[1][:8] == ["ns3", "eim-eif", "eim-eif", "culvert", "1", "true", "92.0", ""]
    assert not list(folder.glob("*.new"))


def test_summary_counts_pairs(tmp_path):
    plan, folder = made(tmp_path, expect=[EXPECT])
    rows_from(folder / "plan.json", folder)
    summary = json.loads((folder / "summary.json").read_text())
    group = summary["groups"][0]
    assert (group["pairs"], group["always"], group["never"]) == (9, 6, 3)
    assert [e["status"] for e in summary["expect"]] == ["broken"]
    assert [c["ok"] for c in summary["expect"][0]["claims"]] == [False, False]
    cell = next(c for c in summary["cells"] if c["cell"] == "eim-apdf.apdm-apdf.culvert")
    assert cell["reasons"] == {"one_address_trusted": 2} and cell["rate"] == 0


def test_what_gave_no_answer_is_not_a_no(tmp_path):
    plan, folder = made(tmp_path, seeds=4, kinds=["eim-eif"],
                        expect=[dict(EXPECT, always=1, never=0)])
    logs = [folder / "logs" / (r["id"] + ".jsonl") for r in plan["runs"]]
    logs[0].unlink()
    text = logs[1].read_text()
    logs[1].write_text(text[:len(text) // 2])
    logs[2].write_text(synthetic.text([
        synthetic.event(0, "-", "run.start"),
        synthetic.event(9, "-", "run.end", why="failed", detail="no route")]))
    frame = rows_from(plan, folder)
    assert list(frame["why"]) == ["missing", "unfinished", "failed", "until"]
    assert list(frame["direct"])[:3] == [None, None, None]
    summary = frame.attrs["summary"]
    cell = summary["cells"][0]
    assert (cell["n"], cell["decided"], cell["successes"]) == (4, 1, 1)
    assert cell["without_answer"] == {"failed": 1, "missing": 1, "unfinished": 1}
    assert summary["groups"][0]["always"] == 0 and summary["groups"][0]["undecided"] == 1
    assert summary["expect"][0]["status"] == "broken"  # "always" claims every run
    assert summary["counts"]["without_answer"] == 3
    assert any("cut short" in w for w in frame.attrs["warnings"])


def test_a_run_in_which_nobody_answered(tmp_path):
    plan, folder = made(tmp_path, seeds=1, kinds=["eim-eif"])
    path = folder / "logs" / (plan["runs"][0]["id"] + ".jsonl")
    path.write_text(synthetic.text([synthetic.event(0, "-", "run.start"),
                                    synthetic.event(9, "-", "run.end", why="budget")]))
    summary = rows_from(plan, folder).attrs["summary"]
    assert summary["cells"][0]["without_answer"] == {"no answer": 1}


def test_worlds_and_the_kernels_voice_are_compared(tmp_path):
    plan = synthetic.plan(worlds=("ns3", "linux"))
    kernel = synthetic.run("linux", "eim-eif", "eim-eif", seed=9, engine="kernel")
    plan["runs"].append(kernel)

    def outcome(run):
        return synthetic.default_outcome(run) and run["seed"] != 9

    synthetic.write(tmp_path, plan, outcome)
    found = rows_from(plan, tmp_path).attrs["summary"]["agreement"]
    assert found["voices"] == ["ns3", "linux", "kernel"]
    assert found["counts"]["disagree"] == 1 and found["counts"]["agree"] == 8
    first = found["cells"][0]
    assert first["verdict"] == "disagree" and first["at"]["nat_b"] == "eim-eif"
    assert first["voices"]["kernel"]["successes"] == 0


def test_every_expectation_that_cannot_be_checked_says_so(tmp_path):
    expect = [{"measure": "direct", "allways": 3}, {"measure": "ghost", "always": 1},
              {"where": {"technique": "plain"}, "measure": "direct", "always": 9}, "text",
              {"measure": "time_ms", "over_bound_ms_at_most": 1e9},
              {"measure": "time_ms", "median_at_most": 92.0}]
    plan, folder = made(tmp_path, expect=expect)
    status = [e["status"] for e in rows_from(plan, folder).attrs["summary"]["expect"]]
    assert status == ["unknown", "unknown", "absent", "unknown", "broken", "held"]


def test_bad_plans_are_one_sentence(tmp_path):
    for text in ("{", "[]", '{"runs":[{"id":"../x","world":"ns3"}]}', '{"format":9,"runs":[]}'):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(AnalysisError):
            rows_from(tmp_path / "plan.json", tmp_path)


def test_reading_tolerates_and_tells(tmp_path):
    path = tmp_path / "x.jsonl"
    good = synthetic.text([synthetic.event(5, "a", "punch.ready"),
                           synthetic.event(2, "b", "punch.ready")])
    path.write_text(good + '1,2\n{"time_ms":1}\n{"time_ms":9,"node":"a","serv')
    log = read_log(path)
    assert [e["node"] for e in log.events] == ["b", "a"]  # by time
    assert len(log.warnings) == 3 and "cut short" in log.warnings[-1]
    assert [e["node"] for e in scan_log(path, {"punch.ready"}).events] == ["b", "a"]
    assert read_log(tmp_path / "none.jsonl").missing


# ---------------------------------------------------------------- bounds

def test_bounds_of_the_field_note():
    # a = 50, b = 12, d = 31: the inequality fails; waiting brings 121 where nothing does 133.
    far = Timing(25, 6, 31, 20, 1)
    assert bound(far).ms == pytest.approx(121) and bound(far).rule == "far"
    near = Timing(25, 6, 31, 1, 1)
    assert bound(near).ms == pytest.approx(112) and bound(near).rule == "direct"
    assert bound(Timing(25, 6, 31, 20, 1, x_filters=False)).ms == pytest.approx(112)
    # a = 60, b = 20, d = 25, hard initiator: 135.
    assert bound(Timing(30, 10, 25), hard="x").ms == pytest.approx(135)
    assert bound(Timing(30, 10, 25), hard="y").ms == pytest.approx(115)
    assert bound(Timing(30, 10, 25), silent="x").ms == pytest.approx(40 + 75)


def test_nested_nats_count_where_they_filter_for_one_side_only():
    run = {"nodes": [{"name": n, "kind": k} for n, k in (
               ("a", "host"), ("home", "nat"), ("cgn", "nat"), ("b", "host"), ("core", "router"),
               ("s", "host"), ("c", "host"))],
           "links": [{"ends": e, "delay_ms": d} for e, d in (
               (["a", "home"], 1), (["home", "cgn"], 8), (["b", "cgn"], 2), (["cgn", "core"], 5),
               (["core", "s"], 5), (["core", "c"], 1))]}
    outside = bounds.run_timing(run, "a", "c", "s")
    assert (outside.x_nat, outside.x_filters, outside.y_filters) == (9, True, False)
    assert bounds.run_timing(run, "a", "c", "s", {"cgn"}).x_nat == 1
    inside = bounds.run_timing(run, "a", "b", "s")  # both are behind cgn
    assert (inside.x_nat, inside.y_nat, inside.y_filters) == (1, 0, False)


def test_a_mapping_that_is_independent_is_not_learned_of_necessity():
    run = synthetic.run("ns3", "eim-eif", "eim-eif")
    events = [dict(e, path="peer-reflexive") if e["event"] == "result" else e
              for e in synthetic.log(run)]
    measured = [synthetic.event(50, n, "punch.nat_measured", mapping="eim") for n in "ab"]
    assert bounds.run_bound(run, Log("x", events)).rule == "reflexive"
    assert bounds.run_bound(run, Log("x", events + measured)).rule == "direct"


def test_waiting_is_never_worse_than_a_reply_alone():
    for alpha in (0, 5, 20):
        for beta in (0, 7, 30):
            for x, y in ((25, 40), (40, 25), (60, 31)):
                t = Timing(x, y, alpha + beta + 3, alpha, beta)
                assert bound(t).ms <= max(t.starts) + 3 * t.between + 1e-9


def test_delays_come_from_the_links():
    run = synthetic.run("ns3", "eim-eif", "eim-eif")
    timing = bounds.run_timing(run, "a", "b", "s")
    assert (timing.x_server, timing.y_server, timing.between) == (16, 21, 27)
    assert (timing.x_nat, timing.y_nat) == (1, 1)
