"""Puts the page together: header, agreement first, then maps, figures, expectations per result."""

import json
from html import escape
from pathlib import Path

from analysis import ladder_svg
from analysis import plan as plans
from analysis.console import where_text
from analysis.errors import AnalysisError
from analysis.report import payload
from analysis.report.figures import figures
from analysis.report.heat import heat_maps
from analysis.report.load import load

HERE = Path(__file__).parent
MOST_LISTED = 60  # disagreements listed by name; the rest are counted
DEFAULT_MAX_BYTES = 15_000_000


def build_report(folders, out, max_bytes=DEFAULT_MAX_BYTES):
    """Writes the page for the folders to `out`; its size in bytes. AnalysisError if unusable."""
    results = [load(folder, "r%d" % i) for i, folder in enumerate(folders)]
    asked = [r.summary["scenario"] for r in results]
    for r in results:  # two folders of one scenario are told apart by the folder
        r.twin = asked.count(r.summary["scenario"]) > 1
    body = "".join(_section(r) for r in results)
    cells = {"%s:%d" % (r.key, i): payload.pack(payload.cell_entry(r, i))
             for r in results for i in range(len(r.cells))}
    where = {"%s/%s" % (r.key, record["id"]): "%s:%d" % (r.key, i)
             for r in results for i, (_, rows, shown) in enumerate(r.cells) for record in shown}
    for r in results:  # a point of a figure opens its cell, shown in full or not
        where.update(_points(r))
    start = _assemble(results, body, cells, where, {}, 0)
    packed, left_out = payload.blobs(results, max(0, max_bytes - len(start.encode()) - 20_000))
    html = _assemble(results, body, cells, where, packed, left_out)
    out = Path(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.with_name(out.name + ".new")
        beside.write_text(html, encoding="utf-8", errors="replace")
        beside.replace(out)
    except OSError as error:
        raise AnalysisError("%s: cannot be written: %s" % (out, error.strerror)) from None
    return len(html.encode("utf-8", "replace"))


def _points(result):
    if len(result.records) > 20000:
        return {}
    return {"%s/%s" % (result.key, r["id"]): "%s:%d" % (result.key, i)
            for i, (_, rows, _) in enumerate(result.cells) for r in rows}


def _assemble(results, body, cells, where, packed, left_out):
    title = "Culvert: " + ", ".join(dict.fromkeys(str(r.summary["scenario"]) for r in results))
    nav = "".join('<a href="#%s">%s</a>' % (r.key, escape(_title(r))) for r in results)
    data = {"cells": cells, "where": where, "leftOut": left_out}
    script = (HERE / "app.js").read_text(encoding="utf-8")
    style = (HERE / "style.css").read_text(encoding="utf-8") + ladder_svg.STYLE
    template = (HERE / "page.html").read_text(encoding="utf-8")
    blobs = "".join('<script type="text/plain" id="blob-%s">%s</script>' % (escape(k, True), v)
                    for k, v in packed.items())
    parts = {"TITLE": escape(title), "STYLE": style, "NAV": nav, "BODY": overview(results) + body,
             "DATA": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
             "BLOBS": blobs, "SCRIPT": script}
    # One pass, so that text which happens to look like a mark is left alone.
    pieces = template.split("@@")
    return "".join(parts[p] if i % 2 else p for i, p in enumerate(pieces))


# How a scenario's name is spelt in a heading.
ACRONYMS = {"nat": "NAT", "nats": "NATs", "mqtt": "MQTT", "http": "HTTP", "tls": "TLS", "lte": "LTE"}


def _title(result):
    words = [ACRONYMS.get(word, word) for word in str(result.summary["scenario"]).split("_")]
    name = " ".join(words)
    return name[:1].upper() + name[1:] + (" (%s)" % result.folder.name if result.twin else "")


# ---------------------------------------------------------------- overview

def overview(results):
    """The first screen: in which voices, how many runs, do they agree, is it as expected."""
    rows = []
    for r in results:
        s, counts = r.summary, r.summary["agreement"]["counts"]
        bad = sum(e["status"] == "broken" for e in s["expect"])
        good = sum(e["status"] == "held" for e in s["expect"])
        open_ = sum(e["status"] in ("unanswered", "unknown") for e in s["expect"])
        agree = ("–" if not counts["compared"] or not s["success"] else
                 _badge("bad", "%d of %d differ" % (counts["disagree"] + counts["unsteady"],
                                                    counts["compared"]))
                 if counts["disagree"] + counts["unsteady"]
                 else _badge("good", "all %d agree" % counts["compared"]))
        held = " ".join(filter(None, [
            _badge("bad", "%d broken" % bad) if bad else "",
            _badge("warn", "%d open" % open_) if open_ else "",
            _badge("good", "%d held" % good) if good else ""])) or "–"
        lacking = s["counts"]["without_answer"]
        rows.append('<tr><th scope="row"><a href="#%s">%s</a></th><td>%s</td><td '
                    'class="num">%d%s</td>'
                    '<td>%s</td><td>%s</td></tr>' % (
                        r.key, escape(_title(r)),
                        escape(", ".join(plans.voice_name(v) for v in s["voices"])),
                        s["counts"]["runs"],
                        " " + _badge("bad", "%d no answer" % lacking) if lacking else "", agree,
                        held))
    head = ("What became direct, in which world, and why" if all(r.summary["success"] for r in results)
            else "What was asked, in which world, and what came of it")
    return ('<section class="over"><h1>' + head + '</h1>'
            '<div class="scroll"><table class="list"><thead><tr><th>Asked</th>'
            '<th>Voices</th><th>Runs</th><th>Do the voices agree?</th><th>As '
            'expected?</th></tr></thead>'
            '<tbody>%s</tbody></table></div></section>' % "".join(rows))


def _badge(kind, text):
    mark = {"good": "✓", "bad": "✗", "warn": "?"}[kind]
    return '<span class="badge b-%s">%s %s</span>' % (kind, mark, escape(text))


# ---------------------------------------------------------------- one result

def _section(result):
    s = result.summary
    drawn = figures(result)
    plots = "".join('<figure class="plot"><figcaption><b>%s</b><br>%s</figcaption>%s</figure>'
                    % (escape(title), escape(about), svg) for title, about, svg in drawn)
    head = ("Which pairs become direct" if s["success"] and plans.pair_columns(result.plan)
            else "Every cell")
    return ('<section id="%s"><h2>%s</h2><p '
            'class="about">%s</p>%s%s%s<h3>%s</h3>%s%s%s%s</section>' % (
        result.key, escape(_title(result)), escape(s["about"]), _asked(result), _agreement(result),
        _expected(result), head, heat_maps(result),
        '<h3>Figures</h3><div class="plots">%s</div>' % plots if plots else "",
        _differences(s), _warnings(result)))


def _asked(result):
    s, plan = result.summary, result.plan
    columns = []
    for name in plans.columns(plan):
        values = list(dict.fromkeys(plans.plain(v) for run in plan["runs"]
                                    for v in [plans.value_of(run, name)]))
        shown = ", ".join(values[:12]) + (" … (%d)" % len(values) if len(values) > 12 else "")
        columns.append("<dt>%s</dt><dd>%s</dd>" % (escape(name), escape(shown)))
    whys = ", ".join("%d %s" % (n, w) for w, n in s["counts"]["why"].items())
    seeds = len({run.get("seed") for run in plan["runs"]})
    picture = ('<pre class="picture" aria-label="the network">%s</pre>' % escape(plan["picture"])
               if plan.get("picture") else "")
    again = str(plan.get("rerun") or "")
    return ('<details class="asked"><summary>What was asked: %d runs, topology %s, %d '
            'seed%s</summary>'
            '<div class="cols"><dl>%s<dt>runs</dt><dd>%d: '
            '%s</dd><dt>again</dt><dd><code>%s</code></dd>'
            '</dl>%s</div></details>' % (
                s["counts"]["runs"], escape(str(s["topology"])), seeds,
                "" if seeds == 1 else "s", "".join(columns),
                s["counts"]["runs"], escape(whys), escape(again), picture))


def _agreement(result):
    found = result.summary["agreement"]
    counts, voices = found["counts"], found["voices"]
    if len(voices) < 2:
        only = plans.voice_name(voices[0]) if voices else "no voice"
        return ('<h3>Agreement</h3><p class="verdict">Only %s has run: there is nothing to '
                'compare. '
                'Run it in both worlds with <code>--on both</code>.</p>' % escape(only))
    if not result.summary["success"]:  # nothing to say yes or no to: times and figures tell
        times = result.summary["times"]
        if not times or times["ratio"]["median"] is None:
            return ""
        return ('<h3>Agreement</h3><p class="verdict">%s on Linux is %.3f × that of ns-3 in the median '
                'of %d pairs, %.3f to %.3f in nine of ten.</p>' % (
                    escape(str(result.summary["time"])), times["ratio"]["median"], times["pairs"],
                    times["ratio"]["p10"], times["ratio"]["p90"]))
    differ = [r for r in found["cells"] if r["verdict"] in ("disagree", "unsteady", "nothing")]
    alone = counts["alone"]
    names = " and ".join(plans.voice_name(v) for v in voices)
    apart = counts["disagree"] + counts["unsteady"]
    if apart:
        head = _badge("bad", "%s differ in %d of %d cells" % (names, apart, counts["compared"]))
    elif counts["compared"]:
        head = _badge("good", "%s say the same in all %d cells" % (names, counts["compared"]))
    else:
        head = _badge("warn", "no cell was heard from both")
    if counts["nothing"]:
        head += " " + _badge("warn", "no answer at all in %d cells" % counts["nothing"])
    note = (" %d cell%s heard from one voice only." % (alone, " was" if alone == 1 else "s were")
            if alone else "")
    times = result.summary["times"]
    if times and times["ratio"]["median"] is not None:
        note += " Times on Linux are %.3f × those of ns-3 in the median of %d pairs." % (
            times["ratio"]["median"], times["pairs"])
    table = _differing(result, differ, voices) if differ else ""
    return '<h3>Agreement</h3><p class="verdict">%s%s</p>%s' % (head, escape(note), table)


def _differing(result, rows, voices):
    index = {}
    for i, (cell, _, _) in enumerate(result.cells):
        key = (cell["voice"],) + tuple(str(cell["at"].get(c))
                                       for c in plans.compared_columns(result.plan))
        index[key] = i
    said = {"disagree": "they disagree", "unsteady": "one is not steady", "nothing": "no answer"}
    body = []
    for row in rows[:MOST_LISTED]:
        tds = []
        for v in voices:
            tally = row["voices"].get(v)
            at = index.get((v,) + tuple(str(x) for x in row["at"].values()))
            tds.append("<td>–</td>" if tally is None or at is None else
                       '<td><button class="pill" data-cell="%s:%d">%d/%d</button></td>'
                       % (result.key, at, tally["successes"], tally["decided"]))
        body.append("<tr><th scope=\"row\">%s</th>%s<td>%s</td></tr>" % (
            escape(where_text(row["at"])), "".join(tds), said[row["verdict"]]))
    more = ("<p>%d more are in summary.json.</p>" % (len(rows) - MOST_LISTED)
            if len(rows) > MOST_LISTED else "")
    return ('<div class="scroll"><table '
            'class="list"><thead><tr><th>Cell</th>%s<th></th></tr></thead>'
            '<tbody>%s</tbody></table></div>%s' % (
                "".join("<th>%s</th>" % escape(plans.voice_name(v)) for v in voices),
                "".join(body), more))


def _expected(result):
    if not result.summary["expect"]:
        return ""
    items = []
    for e in result.summary["expect"]:
        kind, word = {"held": ("good", "held"), "broken": ("bad", "broken"),
                      "absent": (None, "not asked here")}.get(e["status"], ("warn", "open"))
        mark = _badge(kind, word) if kind else '<span class="badge">%s</span>' % word
        said = "; ".join(c["sentence"] for c in e["claims"])
        voice = plans.voice_name(e["voice"]) + ": " if e["voice"] else ""
        items.append("<li>%s <b>%s%s</b> %s</li>" % (mark, escape(voice), escape(e["title"]),
                                                     escape(said)))
    return "<h3>Expected and measured</h3><ul class=\"expect\">%s</ul>" % "".join(items)


def _differences(summary):
    if not summary["differences"]:
        return ""
    return ("<h3>Declared differences between the worlds</h3><ul>%s</ul>"
            % "".join("<li>%s</li>" % escape(str(d)) for d in summary["differences"]))


def _warnings(result):
    if not result.warnings:
        return ""
    shown = "".join("<li>%s</li>" % escape(w) for w in result.warnings[:30])
    more = len(result.warnings) - 30
    return ('<details class="warnings"><summary>%d warnings while reading the '
            'logs</summary><ul>%s</ul>'
            '%s</details>' % (len(result.warnings), shown, "<p>and %d more</p>" % more
                              if more > 0 else ""))
