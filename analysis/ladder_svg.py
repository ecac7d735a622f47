"""Draws a Ladder as SVG. Time runs downwards; long gaps are cut and say how long they are."""

from html import escape

COLUMN = 205      # pixels from lifeline to lifeline
MARGIN = 110      # left and right of the outer ones: room for labels
TOP = 64          # the heads
PER_MS = 2.2      # pixels per millisecond where nothing is cut
GAP = 46          # the tallest a silence gets; longer ones are cut
LINE = 14         # height of a line of text
MAX_TEXT = 46     # characters of a label; the tooltip has the whole

STANDALONE = """
.ladder{--ink:#1b2430;--dim:#5c6875;--line:#c3cad3;--head:#eef1f5;--good:#0b6e99;--bad:#b3261e;
--step:#7a4d00;--paper:#fff;font:12px system-ui,sans-serif;background:#fff}
"""
STYLE = """
.ladder text{fill:var(--ink);font-size:11.5px;font-family:inherit}
.ladder .dim,.ladder .t{fill:var(--dim);font-size:10.5px}
.ladder .t{text-anchor:end;font-variant-numeric:tabular-nums}
.ladder .life{stroke:var(--line);stroke-width:1.5}
.ladder .nat-life{stroke-width:7;opacity:.75}
.ladder .box{fill:var(--head);stroke:var(--line)}
.ladder .hd{font-weight:600;font-size:13px;text-anchor:middle}
.ladder .sub{fill:var(--dim);font-size:10.5px;text-anchor:middle}
.ladder line.go,.ladder path.go{stroke:var(--ink);stroke-width:1.4;fill:none}
.ladder .go.opener{stroke-dasharray:5 3}
.ladder .go.keepalive,.ladder .go.unknown{stroke:var(--dim);stroke-dasharray:2 3}
.ladder .go.received{stroke:var(--good)}
.ladder .go.dropped,.ladder .go.lost{stroke:var(--bad)}
.ladder .srv{stroke:var(--dim);stroke-width:1;stroke-dasharray:4 3;fill:none}
.ladder .x{stroke:var(--bad);stroke-width:2.5;stroke-linecap:round}
.ladder .bad{fill:var(--bad);font-weight:600}.ladder .good{fill:var(--good);font-weight:600}
.ladder .step{fill:var(--step);font-weight:600}
.ladder .bg{fill:var(--paper);opacity:.86}
.ladder circle.dim{fill:var(--dim)}
.ladder .cut{stroke:var(--line);stroke-dasharray:1 4;stroke-width:1.5}
.ladder g:hover>.go{stroke-width:3}
"""


def draw(ladder, standalone=False):
    """The SVG as text. `standalone` adds the styles that the report's page otherwise has."""
    return _Drawing(ladder).svg(standalone)


class _Drawing:
    def __init__(self, ladder):
        self.ladder = ladder
        self.x = {n: MARGIN + 40 + i * COLUMN for i, n in enumerate(ladder.columns)}
        self.width = 2 * MARGIN + 140 + COLUMN * max(0, len(ladder.columns) - 1)
        self.out, self.texts = [], []
        self.taken = []  # boxes of placed labels: (x0, x1, y0, y1)
        self.place()

    # ------------------------------------------------------------ time to pixels

    def place(self):
        """A y for every instant: time to scale, at least a line for each label, gaps cut."""
        room = {}
        for f in self.ladder.flights:
            for hop in f.hops:
                room.setdefault(hop.time_ms, 0)
            room[f.hops[0].time_ms] = max(room[f.hops[0].time_ms], LINE)
            for hop in f.hops[1:]:
                if hop.what in ("dropped", "lost"):
                    room[hop.time_ms] = max(room[hop.time_ms], LINE)
                elif hop.what == "translated":
                    room[hop.time_ms] = max(room[hop.time_ms], 5)
        per_node = {}
        for note in self.ladder.notes:
            at = (note.time_ms, note.node)
            per_node[at] = per_node.get(at, 0) + LINE
            room[note.time_ms] = max(room.get(note.time_ms, 0), per_node[at])
        for e in self.ladder.exchanges:
            room[e.start_ms] = max(room.get(e.start_ms, 0), LINE)
            room[e.end_ms] = max(room.get(e.end_ms, 0), LINE)
        self.y, self.cuts = {}, []
        y, last, need = TOP + 26.0, None, 0.0
        for at in sorted(room):
            if last is not None:
                silence = (at - last) * PER_MS
                if silence > GAP * 2 and silence > need:
                    self.cuts.append((y + max(GAP, need) / 2, at - last))
                    silence = GAP
                y += max(silence, need)
            self.y[at] = y
            last, need = at, room[at]
        self.height = y + need + 40

    # ------------------------------------------------------------ pieces

    def svg(self, standalone):
        for exchange in self.ladder.exchanges:
            self.exchange(exchange)
        for flight in self.ladder.flights:
            self.flight(flight)
        notes_at = {}
        for note in self.ladder.notes:
            at = (note.time_ms, note.node)
            self.note(note, notes_at.get(at, 0))
            notes_at[at] = notes_at.get(at, 0) + LINE
        for y, gap in self.cuts:
            self.out.append('<line class="cut" x1="44" x2="%d" y1="%.1f" y2="%.1f"/>'
                            % (self.width - 10, y, y))
            self.texts.append('<text class="dim" x="6" y="%.1f">⋮ %s</text>' % (y + 4, _ms(gap)))
        self.clock()
        bottom = self.height
        for remark in self.ladder.remarks[:6]:
            self.texts.append('<text class="dim" x="8" y="%.1f">%s</text>'
                              % (bottom, _t(remark, 140)))
            bottom += LINE + 2
        if not self.ladder.columns:
            self.texts.append('<text x="8" y="40">Nothing was sent in this run.</text>')
        size = 'width="%d" height="%d" viewBox="0 0 %d %d"' % (
            self.width, bottom, self.width, bottom)
        style = "<style>%s</style>" % ((STANDALONE if standalone else "") + STYLE) \
            if standalone else ""
        return ('<svg xmlns="http://www.w3.org/2000/svg" class="ladder" role="img" '
                'aria-label="Ladder diagram: %s" %s>%s<defs>%s</defs>%s%s%s</svg>' % (
                    _t(" ".join(self.ladder.columns), 200), size, style, _MARKERS,
                    self.heads(), "".join(self.out), "".join(self.texts)))

    def heads(self):
        out = []
        for name in self.ladder.columns:
            x, kind = self.x[name], self.ladder.kinds.get(name, "host")
            out.append('<line class="life %s-life" x1="%d" x2="%d" y1="%d" y2="%.1f"/>'
                       % (kind, x, x, TOP - 8, self.height - 14))
            out.append('<rect class="box" x="%d" y="8" width="150" height="44" rx="%d"/>'
                       % (x - 75, 4 if kind == "nat" else 12))
            sub = self.ladder.titles.get(name) or kind
            out.append('<text class="hd" x="%d" y="27">%s</text><text class="sub" x="%d" y="43">%s'
                       '</text>' % (x, _t(name, 18), x, _t(sub, 26)))
        return "".join(out)

    def clock(self):
        last = -99.0
        for at, y in self.y.items():
            if y - last >= 22:
                self.texts.append('<text class="t" x="60" y="%.1f">%s</text>' % (y + 4, _ms(at)))
                last = y

    def flight(self, flight):
        parts, previous = [], None
        title = escape("\n\n".join(h.detail for h in flight.hops))
        kind = "%s %s" % (escape(flight.kind), flight.end)
        for hop in flight.hops:
            here = self.point(hop, previous, flight)
            if previous is not None:
                last = hop is flight.hops[-1]
                marker = ' marker-end="url(#%s)"' % (
                    "in" if flight.end == "received" else "to") if hop.what not in (
                        "dropped", "lost") and (last or hop.what == "translated") else ""
                parts.append('<line class="go %s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"%s/>'
                             % ((kind,) + previous + here + (marker,)))
            if hop.what in ("dropped", "lost"):
                x, y = here
                parts.append('<path class="x" d="M%.1f %.1fl10 10m0 -10l-10 10"/>' % (x - 5, y - 5))
                self.label(x + 9, y + 4, "%s: %s" % (hop.what, hop.label), "bad", hop.detail)
            elif hop.what == "translated" and hop.label:
                self.label(here[0] + 7, here[1] - 4, hop.label.split(" → ")[-1], "dim", hop.detail,
                           "⇒ ")
            previous = here
        if flight.end == "unknown":
            parts.append(self.fading(flight, previous, kind))
        first = flight.hops[0]
        x, y = self.x[first.node], self.y[first.time_ms]
        ttl = _sent_ttl(flight)
        text = flight.kind + (" TTL %s" % ttl if ttl is not None and ttl < 16 else "")
        away = 1 if self.heading(flight) >= 0 else -1
        self.label(x + 7 * away, y - 4, text, "", first.detail, " ", away)
        self.out.append("<g><title>%s</title>%s</g>" % (title, "".join(parts)))

    def point(self, hop, previous, flight):
        y = self.y[hop.time_ms]
        if hop.node in self.x:
            return float(self.x[hop.node]), y
        x = previous[0] if previous else 0.0  # a link: halfway to the next column
        return x + COLUMN / 2 * self.heading(flight, x), y

    def heading(self, flight, x=None):
        """+1 if the packet goes to the right, else -1; from where it is, towards its end."""
        start = self.x[flight.hops[0].node]
        placed = [self.x[h.node] for h in flight.hops[1:] if h.node in self.x]
        if placed and placed[-1] != start:
            return 1 if placed[-1] > start else -1
        names = self.ladder.columns
        return 1 if names.index(flight.hops[0].node) < len(names) / 2 else -1

    def fading(self, flight, start, kind):
        """A packet of which nothing more was seen: a stub with an open end."""
        x = start[0] + COLUMN * 0.45 * self.heading(flight)
        y = start[1] + 8
        ttl = _sent_ttl(flight)
        if ttl is not None and ttl < 16:
            self.label(x, y + 12, "TTL ran out", "dim", "", "")
        return ('<line class="go %s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>'
                '<circle cx="%.1f" cy="%.1f" r="3" class="go" fill="none" stroke="currentColor"/>'
                % (kind, start[0], start[1], x, y, x, y))

    def exchange(self, e):
        x1, y1 = self.x[e.start], self.y[e.start_ms]
        x2, y2 = self.x[e.end], self.y[e.end_ms]
        server = next((n for n, k in self.ladder.kinds.items() if k == "server"), None)
        if e.start == e.end and server:  # there and back
            xs, ym = self.x[server], (y1 + y2) / 2
            path = "M%.1f %.1fL%.1f %.1fL%.1f %.1f" % (x1, y1, xs, ym, x2, y2)
            away = 1 if xs > x1 else -1
            self.label(x1 + 7 * away, y1 - 3, e.text, "dim", e.detail, "", away)
        else:
            path = "M%.1f %.1fL%.1f %.1f" % (x1, y1, x2, y2)
            away = 1 if x2 > x1 else -1
            self.label(x1 + 7 * away, y1 - 3, e.text, "dim", e.detail, "", away)
        self.out.append('<g><title>%s</title><path class="srv" d="%s" marker-end="url(#sv)"/></g>'
                        % (escape(e.detail), path))

    def note(self, note, lower):
        y = self.y[note.time_ms] + 4 + lower
        if note.node == "-":
            self.out.append('<line class="cut" x1="64" x2="%d" y1="%.1f" y2="%.1f"/>'
                            % (self.width - 10, y - 4, y - 4))
            self.label(self.width - 12, y, note.text, note.tone, note.detail, "", -1)
            return
        x = self.x[note.node]
        # Outer columns write outwards, where no arrows are; long words would leave the page.
        first = note.node == self.ladder.columns[0]
        away = -1 if first and len(note.text) * 6 < MARGIN - 30 else 1
        dot = {"good": "good", "bad": "bad", "step": "step"}.get(note.tone, "dim")
        self.out.append('<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>' % (dot, x, y - 4))
        self.label(x + 9 * away, y, note.text, note.tone, note.detail, "", away)

    def label(self, x, y, text, tone, detail, prefix="", away=1):
        """Text beside its point; moved down a line at a time where another already stands."""
        if not text:
            return
        words = (prefix + text).strip()
        short = words if len(words) <= MAX_TEXT else words[:MAX_TEXT - 1] + "…"
        width = (6.9 if tone in ("bad", "good", "step") else 6.1) * len(short)
        x = min(max(x, width + 4 if away < 0 else 4), self.width - 4 - (width if away > 0 else 0))
        x0 = x if away > 0 else x - width
        for _ in range(4):
            clash = any(a < x0 + width and x0 < b and c < y and y - 11 < d
                        for a, b, c, d in self.taken[-80:])
            if not clash:
                break
            y += 12
        self.taken.append((x0, x0 + width, y - 11, y))
        self.texts.append(
            '<rect class="bg" x="%.1f" y="%.1f" width="%.1f" height="12"/>'
            '<text class="%s" x="%.1f" y="%.1f"%s>%s<title>%s</title></text>' % (
                x0 - 1, y - 10, width + 2, {"plain": ""}.get(tone, tone), x, y,
                "" if away > 0 else ' text-anchor="end"', escape(short), escape(detail or words)))


_MARKERS = "".join(
    '<marker id="%s" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
    'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.6L8 4L0 7.4z" '
    'style="fill:var(--%s)"/></marker>' % (name, colour) for name, colour in
    (("to", "ink"), ("in", "good"), ("sv", "dim")))


def _sent_ttl(flight):
    for line in flight.hops[0].detail.split("\n"):
        if line.startswith("ttl: ") and line[5:].isdigit():
            return int(line[5:])
    return None


def _ms(value):
    return "%.2f s" % (value / 1000) if value >= 10000 else "%.1f ms" % value


def _t(text, most):
    text = str(text)
    return escape(text if len(text) <= most else text[:most - 1] + "…")
