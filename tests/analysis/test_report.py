"""The report: self-contained, bounded, safe against hostile text, agreement first."""

import base64
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import synthetic

from analysis.__main__ import main
from analysis.report import build_report

ROOT = Path(__file__).resolve().parents[2]


def page(tmp_path, the_plan, outcome=synthetic.default_outcome, max_bytes=15_000_000, **options):
    folder = synthetic.write(tmp_path / "run", the_plan, outcome, **options)
    build_report([folder], tmp_path / "page.html", max_bytes)
    return (tmp_path / "page.html").read_text()


def unpack(text):
    return json.loads(zlib.decompress(base64.b64decode(text)))


def data(html):
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.S).group(1))


def blobs(html):
    return {k: unpack(v) for k, v in re.findall(r'id="blob-([^"]+)">([^<]*)</script>', html)}


def test_loads_nothing_from_elsewhere(tmp_path):
    html = page(tmp_path, synthetic.plan(worlds=("ns3", "linux")))
    named = re.findall(r'\b(?:src|href)\s*=\s*["\']?([^"\'\s>]+)', html)
    assert named and all(name.startswith("#") for name in named)
    assert not re.search(r"url\(\s*['\"]?(?!#)|@import", html)
    outside = set(re.findall(r"https?://[^\s\"'<>]+", html)) - {"http://www.w3.org/2000/svg"}
    assert outside == set()
    assert "default-src 'none'" in html  # and the browser holds it to that


def test_every_cell_has_its_rows_command_log_and_ladder(tmp_path):
    html = page(tmp_path, synthetic.plan())
    cells = [unpack(c) for c in data(html)["cells"].values()]
    assert len(cells) == 9
    for cell in cells:
        assert cell["command"].startswith("./culvert run cone_vs_symmetric --on ns3 --set nat_a=")
        assert cell["command"].endswith("--seed 1") and len(cell["rows"]) == 2
    shown = blobs(html)
    assert len(shown) == 9
    for run in shown.values():
        assert run["ladder"].startswith("<svg") and '"event":"connect_requested"' in run["log"]


def test_disagreement_is_told_before_anything_else(tmp_path):
    def outcome(run):
        return run["world"] == "ns3"
    html = page(tmp_path, synthetic.plan(worlds=("ns3", "linux"), kinds=["eim-eif"]), outcome)
    assert "differ in 1 of 1 cells" in html
    row = html.index("they disagree")
    assert row < html.index("Which pairs become direct")
    assert 'data-cell="r0:0"' in html[:row] and 'data-cell="r0:1"' in html[:row]  # links to both


def test_hostile_text_stays_text(tmp_path):
    hostile = "</script><script>alert(1)</script><img onerror=x>@@BODY@@"
    plan = synthetic.plan(kinds=["eim-eif", hostile.replace("/", "|")], seeds=1)
    plan["about"] = plan["scenario"] = hostile
    plan["picture"] = hostile
    plan["differences"] = [hostile]
    for number, run in enumerate(plan["runs"]):
        run["id"] = "ns3.%d" % number
    html = page(tmp_path, plan, lambda run: False, reason=hostile)
    assert "<script>alert" not in html and "<img" not in html
    assert html.count("<script") == 3 + len(blobs(html)) - 1


def test_missing_and_failed_runs_are_shown(tmp_path):
    plan = synthetic.plan(kinds=["eim-eif"], seeds=2)
    folder = synthetic.write(tmp_path / "run", plan)
    (folder / "logs" / (plan["runs"][0]["id"] + ".jsonl")).unlink()
    build_report([folder], tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert "1 no answer" in html and "1 missing" in html


def test_a_huge_result_is_bounded(tmp_path):
    plan = synthetic.plan(seeds=40, kinds=["eim-eif", "eim-apdf", "apdm-apdf", "adm-eif"])
    html = page(tmp_path, plan, max_bytes=180_000)
    assert len(html.encode()) <= 180_000
    assert len(blobs(html)) < 16 and len(data(html)["cells"]) == 16


def test_a_page_of_several_folders(tmp_path):
    first = synthetic.write(tmp_path / "one", synthetic.plan(seeds=1))
    second = synthetic.write(tmp_path / "two", synthetic.plan(seeds=1, techniques=("plain",)))
    assert main(["report", str(first), str(second), "--out", str(tmp_path / "p.html")]) == 0
    html = (tmp_path / "p.html").read_text()
    assert 'id="r0"' in html and 'id="r1"' in html and "(two)" in html


def test_commands_end_with_2_and_a_sentence(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none"), "--out", str(tmp_path / "p.html")]) == 2
    assert main(["rows", str(tmp_path / "plan.json"), str(tmp_path)]) == 2
    said = capsys.readouterr().err.strip().split("\n")
    assert len(said) == 2 and all(line.startswith("analysis: ") for line in said)


def test_rows_on_the_terminal(tmp_path):
    folder = synthetic.write(tmp_path, synthetic.plan(
        expect=[{"measure": "direct", "always": 6, "never": 3}]))
    done = subprocess.run([sys.executable, "-m", "analysis", "rows", str(folder / "plan.json"),
                           str(folder)], cwd=ROOT, capture_output=True, text=True, check=True,
                          env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"})
    assert "direct in every run for 6 of 9 cells" in done.stdout and "✓" in done.stdout


def test_figures_for_papers(tmp_path):
    pytest.importorskip("matplotlib")
    folder = synthetic.write(tmp_path / "run", synthetic.plan())
    assert main(["figures", str(folder), "--figures", str(tmp_path / "f")]) == 0
    names = {p.name for p in (tmp_path / "f").iterdir()}
    assert {"cone_vs_symmetric-map-ns3-0.png", "cone_vs_symmetric-time.svg",
            "cone_vs_symmetric-bound.png"} <= names
