"""Heat maps: one table per voice and technique, a button per cell; and the plain list of cells."""

from html import escape

from analysis import plan as plans
from analysis.console import where_text

SHORT = {"port_changed": "3a", "same_nat_no_hairpin": "3b", "one_address_trusted": "3c"}


def heat_maps(result):
    """The success maps of a result as HTML; the list of cells where no pair makes a map."""
    pair = plans.pair_columns(result.plan)
    if not pair or not result.summary["success"]:
        return cell_list(result)
    out = []
    for group in result.summary["groups"]:
        cells = [(i, c) for i, (c, _, _) in enumerate(result.cells) if c["voice"] == group["voice"]
                 and all(str(c["at"].get(k)) == str(v) for k, v in group["at"].items())]
        out.append(_map(result, pair, group, cells))
    if sum(m.count("<button") for m in out) <= len(out):  # one pair only: a map says nothing
        return cell_list(result)
    return '<div class="maps">%s</div>%s' % ("".join(out), KEY)


KEY = ('<p class="key"><span class="sw h-always">in every run</span><span class="sw h-some">in some'
       '</span><span class="sw h-never">in none</span><span class="sw h-none">no answer</span>'
       '<span>3a the port changed · 3b same NAT without hairpin · 3c one port trusts one address. '
       'Choose a cell to see its runs, log and ladder.</span></p>')


def tone(cell):
    """(class, share) of a cell's colour."""
    if not cell["decided"]:
        return "h-none", 0
    if cell["successes"] == cell["decided"]:
        return "h-always", 1
    if cell["successes"] == 0:
        return "h-never", 0
    return "h-some", cell["successes"] / cell["decided"]


def _map(result, pair, group, cells):
    rows = list(dict.fromkeys(str(c["at"][pair[0]]) for _, c in cells))
    across = list(dict.fromkeys(str(c["at"][pair[1]]) for _, c in cells))
    at = {(str(c["at"][pair[0]]), str(c["at"][pair[1]])): (i, c) for i, c in cells}
    low, high = group["interval"]
    head = "".join('<th scope="col"><span>%s</span></th>' % escape(n) for n in across)
    body = "".join('<tr><th scope="row">%s</th>%s</tr>' % (
        escape(row), "".join(_square(result, at.get((row, col))) for col in across))
        for row in rows)
    title = "%s · %s" % (plans.voice_name(group["voice"]), where_text(group["at"]))
    line = ("<b>%d</b> in every run, <b>%d</b> in some, <b>%d</b> in none%s of %d; %d of %d runs "
            "(95 %% interval %.1f–%.1f %%)" % (
                group["always"], group["sometimes"], group["never"],
                ", <b class=\"warn\">%d undecided</b>" % group["undecided"]
                if group["undecided"] else "",
                group["pairs"], group["successes"], group["decided"], 100 * low, 100 * high))
    return ('<figure class="map"><figcaption><b>%s</b><br>%s</figcaption><div '
            'class="scroll"><table '
            'class="heat n%d"><thead><tr><th class="corner">%s ↓ %s →</th>%s</tr></thead><tbody>%s'
            '</tbody></table></div></figure>' % (
                escape(title), line, min(len(across), 10), escape(pair[0]), escape(pair[1]), head,
                body))


def _square(result, found):
    if found is None:
        return "<td></td>"
    index, cell = found
    kind, share = tone(cell)
    text = "%d/%d" % (cell["successes"], cell["decided"]) if cell["decided"] else "?"
    under = ""
    if cell["decided"] and cell["successes"] == 0:
        reason = next(iter(cell["reasons"]), "")
        under = SHORT.get(reason, "")
    elif kind == "h-some":
        under = "%.0f–%.0f %%" % (100 * cell["interval"][0], 100 * cell["interval"][1])
    elif cell["time"] and cell["time"]["median"] is not None:
        under = "%.0f ms" % cell["time"]["median"]
    elif cell["time"] is None:  # no time to direct: then the first duration that is measured
        first = next((s for n, s in cell["measures"].items() if n.endswith("_ms")), None)
        under = "%s ms" % _number(first["median"]) if first else ""
    lacking = cell["n"] - cell["decided"]
    if lacking:
        under = "+%d ?" % lacking
        kind += " h-gap"
    return ('<td><button class="%s" style="--share:%.2f" data-cell="%s:%d" '
            'aria-label="%s">%s<small>'
            '%s</small></button></td>' % (kind, share, result.key, index,
                                          escape(_spoken(cell)), text, escape(under)))


def _spoken(cell):
    words = "%s, %s: %d of %d direct" % (plans.voice_name(cell["voice"]), where_text(cell["at"]),
                                         cell["successes"], cell["decided"])
    if cell["n"] > cell["decided"]:
        words += ", %d without an answer" % (cell["n"] - cell["decided"])
    return words


def cell_list(result):
    """Every cell as a row: values of the columns, outcome with interval, numbers."""
    columns = plans.columns(result.plan)
    numbers = list(dict.fromkeys(
        n for c, _, _ in result.cells for n in c["measures"] if n not in ("probes", "nat_drops")))
    time = result.summary["time"]
    head = ["voice"] + columns + ([result.summary["success"], "95 %"] if result.summary["success"]
                                  else ["runs"]) + ([time] if time else []) + numbers
    body = []
    for index, (cell, _, _) in enumerate(result.cells):
        row = [escape(plans.voice_name(cell["voice"]))]
        row += [escape(plans.plain(cell["at"][c])) for c in columns]
        kind, share = tone(cell)
        if not result.summary["success"] and cell["decided"]:
            kind = "h-plain"
        text = "%d/%d" % (cell["successes"], cell["decided"]) if result.summary["success"] \
            else "%d/%d" % (cell["decided"], cell["n"])
        gap = cell["n"] - cell["decided"]
        row.append('<button class="pill %s" style="--share:%.2f" data-cell="%s:%d" '
                   'aria-label="%s">%s'
                   '</button>%s' % (kind, share, result.key, index, escape(_spoken(cell)), text,
                                    ' <b class="warn">%d no answer</b>' % gap if gap else ""))
        if result.summary["success"]:
            row.append("%.0f–%.0f %%" % tuple(100 * v for v in cell["interval"]))
        if time:
            row.append(_spread(cell["time"]))
        row += [_spread(cell["measures"].get(n)) for n in numbers]
        body.append("<tr>%s</tr>" % "".join("<td>%s</td>" % v for v in row))
    return ('<div class="scroll tall"><table '
            'class="list"><thead><tr>%s</tr></thead><tbody>%s</tbody>'
            '</table></div><p class="key">Numbers are the median and, small, the 10th to 90th '
            'percentile. Choose an outcome to see its runs, log and ladder.</p>' % (
                "".join("<th>%s</th>" % escape(h) for h in head), "".join(body)))


def _spread(spread):
    if not spread or spread["median"] is None:
        return "–"
    if spread["p10"] == spread["p90"]:
        return _number(spread["median"])
    return "%s <small>%s–%s</small>" % tuple(_number(spread[k]) for k in ("median", "p10", "p90"))


def _number(value):
    """Four figures that matter, never an exponent: 29 660, 127.8, 0.05."""
    if abs(value) >= 1000:
        return "{:,.0f}".format(value).replace(",", "\u202f")
    return "%.4g" % value
