"""A chart of named rows: a label at the left, marks along a common scale, as SVG text."""

from html import escape

from analysis.report.svg import DASHES, shape, ticks

WIDTH, ROW, TOP, BOTTOM, RIGHT = 640, 21, 8, 44, 18


class Dots:
    """`rows`: labels from top to bottom; then point, interval and mark; then `text()`."""

    def __init__(self, rows, x_range, x_label):
        self.rows = {label: i for i, label in enumerate(rows)}
        self.left = 14 + max((len(r) for r in rows), default=0) * 6.4
        self.x0, self.x1 = x_range
        self.x1 = self.x1 if self.x1 > self.x0 else self.x0 + 1
        self.label = x_label
        self.parts, self.keys = [], []
        self.height = TOP + ROW * len(self.rows) + BOTTOM

    def px(self, x):
        x = min(max(x, self.x0), self.x1)
        return self.left + (x - self.x0) / (self.x1 - self.x0) * (WIDTH - self.left - RIGHT)

    def py(self, row, offset=0.0):
        return TOP + ROW * (self.rows[row] + 0.5 + offset)

    def point(self, row, x, series, title="", run="", offset=0.0):
        link = ' data-open="%s"' % escape(run) if run else ""
        self.parts.append('<g class="pt s%d"%s>%s<title>%s</title></g>' % (
            series % 8, link, shape(self.px(x), self.py(row, offset), series), escape(title)))

    def interval(self, row, low, high, series, offset=0.0):
        y = self.py(row, offset)
        self.parts.append('<line class="iv s%d" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>' % (
            series % 8, self.px(low), self.px(high), y, y))

    def mark(self, row, x, title="", offset=0.0):
        """What theory says: an upright stroke."""
        y = self.py(row, offset)
        self.parts.append('<path class="rule" d="M%.1f %.1fV%.1f"><title>%s</title></path>'
                          % (self.px(x), y - ROW * 0.3, y + ROW * 0.3, escape(title)))

    def key(self, name, series):
        self.keys.append((name, series))

    def text(self, label):
        out = ['<svg class="chart" role="img" aria-label="%s" viewBox="0 0 %d %d">'
               % (escape(label), WIDTH, self.height)]
        bottom = self.height - BOTTOM
        for row in self.rows:
            y = self.py(row)
            out.append('<line class="gr" x1="%.1f" x2="%d" y1="%.1f" y2="%.1f"/><text class="tk" '
                       'text-anchor="end" x="%.1f" y="%.1f">%s</text>' % (
                           self.left, WIDTH - RIGHT, y, y, self.left - 8, y + 4, escape(row)))
        for value in ticks(self.x0, self.x1, 6):
            x = self.px(value)
            out.append('<line class="gr" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="tk" '
                       'text-anchor="middle" x="%.1f" y="%d">%g</text>' % (
                           x, x, TOP, bottom, x, bottom + 16, value))
        out.append('<text class="ax" text-anchor="middle" x="%.1f" y="%d">%s</text>' % (
            (self.left + WIDTH - RIGHT) / 2, self.height - 8, escape(self.label)))
        items = "".join(
            '<li><svg class="swatch" viewBox="0 0 30 14" aria-hidden="true"><path class="ln s%d" '
            'stroke-dasharray="%s" d="M0 7H30"/><g class="pt s%d">%s</g></svg>%s</li>'
            % (s % 8, DASHES[s % 8], s % 8, shape(15, 7, s), escape(name)) for name, s in self.keys)
        legend = '<ul class="legend">%s</ul>' % items if items else ""
        return "".join(out) + "".join(self.parts) + "</svg>" + legend
