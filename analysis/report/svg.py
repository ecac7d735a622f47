"""A few charts as SVG text: axes, points with intervals, cumulative curves. No dependency.

Colours come from the page's style (classes s0…s7, a palette for colour-blind readers after Okabe
and Ito), and every series has a shape or a dash of its own besides.
"""

import math
from html import escape

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 46
DASHES = ["", "7 4", "2 3", "9 3 2 3", "4 4", "1 5", "12 4", "6 2 2 2"]


def ticks(low, high, count=5):
    """Round numbers from low to high."""
    if high <= low:
        high = low + 1
    raw = (high - low) / count
    size = 10 ** math.floor(math.log10(raw))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw - 1e-12)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, int(math.floor(high / step + 1e-9)) + 1)]


class Chart:
    """Axes in data units; add shapes, then `text()`."""

    def __init__(self, x_range, y_range, x_label, y_label, x_ticks=None, y_ticks=None, log_x=False):
        self.log_x = log_x
        self.x0, self.x1 = self._widened(x_range)
        self.y0, self.y1 = self._widened(y_range)
        self.labels = x_label, y_label
        if log_x and x_ticks is None:
            x_ticks = [(m * 10 ** e, "%g" % (m * 10 ** e)) for e in range(-3, 7) for m in (1, 2, 5)]
        self.x_ticks = [(v, t) for v, t in x_ticks if self.x0 <= v <= self.x1] if x_ticks \
            else [(v, "%g" % v) for v in ticks(self.x0, self.x1)]
        self.y_ticks = y_ticks or [(v, "%g" % v) for v in ticks(self.y0, self.y1)]
        self.parts, self.keys = [], []

    @staticmethod
    def _widened(pair):
        low, high = pair
        return (low, high) if high > low else (low, low + 1)

    def px(self, x):
        low, high = self.x0, self.x1
        if self.log_x:
            x, low, high = math.log(max(x, low)), math.log(low), math.log(high)
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def py(self, y):
        return HEIGHT - BOTTOM - (y - self.y0) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM)

    def line(self, points, series, title=""):
        path = "M" + "L".join("%.1f %.1f" % (self.px(x), self.py(y)) for x, y in points)
        self.parts.append('<path class="ln s%d" stroke-dasharray="%s" d="%s"><title>%s</title>'
                          '</path>' % (series % 8, DASHES[series % 8], path, escape(title)))

    def rule(self, points, title=""):
        path = "M" + "L".join("%.1f %.1f" % (self.px(x), self.py(y)) for x, y in points)
        self.parts.append('<path class="rule" d="%s"><title>%s</title></path>'
                          % (path, escape(title)))

    def point(self, x, y, series, title="", run=""):
        """A mark; with `run` it opens that run's cell when it is clicked."""
        link = ' data-open="%s"' % escape(run) if run else ""
        self.parts.append('<g class="pt s%d"%s>%s<title>%s</title></g>' % (
            series % 8, link, shape(self.px(x), self.py(y), series), escape(title)))

    def interval(self, x, low, high, series):
        self.parts.append('<line class="iv s%d" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>' % (
            series % 8, self.px(x), self.px(x), self.py(low), self.py(high)))

    def key(self, name, series):
        self.keys.append((name, series))

    def text(self, label):
        out = ['<svg class="chart" role="img" aria-label="%s" viewBox="0 0 %d %d">'
               % (escape(label), WIDTH, HEIGHT)]
        for value, name in self.x_ticks:
            x = self.px(value)
            out.append('<line class="gr" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="tk" '
                       'text-anchor="middle" x="%.1f" y="%d">%s</text>' % (
                           x, x, TOP, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 16, escape(name)))
        for value, name in self.y_ticks:
            y = self.py(value)
            out.append('<line class="gr" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="tk" '
                       'text-anchor="end" x="%d" y="%.1f">%s</text>' % (
                           LEFT, WIDTH - RIGHT, y, y, LEFT - 7, y + 4, escape(name)))
        out.append('<text class="ax" text-anchor="middle" x="%d" y="%d">%s</text>'
                   % ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, escape(self.labels[0])))
        out.append('<text class="ax" text-anchor="middle" transform="translate(14 %d) rotate(-90)">'
                   '%s</text>' % ((TOP + HEIGHT - BOTTOM) / 2, escape(self.labels[1])))
        return "".join(out) + "".join(self.parts) + "</svg>" + self.legend()

    def legend(self):
        if len(self.keys) < 1:
            return ""
        items = "".join(
            '<li><svg class="swatch" viewBox="0 0 30 14" aria-hidden="true"><path class="ln s%d" '
            'stroke-dasharray="%s" d="M0 7H30"/><g class="pt s%d">%s</g></svg>%s</li>'
            % (s % 8, DASHES[s % 8], s % 8, shape(15, 7, s), escape(name)) for name, s in self.keys)
        return '<ul class="legend">%s</ul>' % items


def shape(x, y, series):
    """Circle, square, triangle, diamond: told apart without colour."""
    kind = series % 4
    if kind == 0:
        return '<circle cx="%.1f" cy="%.1f" r="4.2"/>' % (x, y)
    if kind == 1:
        return '<rect x="%.1f" y="%.1f" width="7.6" height="7.6"/>' % (x - 3.8, y - 3.8)
    if kind == 2:
        return '<path d="M%.1f %.1fl4.8 8.4h-9.6z"/>' % (x, y - 5)
    return '<path d="M%.1f %.1fl5 5l-5 5l-5 -5z"/>' % (x, y - 5)
