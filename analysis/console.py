"""The summary on the terminal: verdicts, a heat map of pairs, counts. Uses rich."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from analysis import plan as plans
from analysis.message_table import message_table

_STATUS = {"held": ("✓", "green"), "broken": ("✗", "bold red"), "unanswered": ("?", "yellow"),
           "unknown": ("?", "yellow"), "absent": ("·", "dim")}
MOST_ROWS = 40  # of a table: what a terminal shows without scrolling away


def make():
    """Lines are left whole: a terminal wraps them, and a file keeps sentences together."""
    return Console(highlight=False, soft_wrap=True)


def show(plan, summary, warnings=(), console=None):
    """Prints the summary of one plan."""
    console = console or make()
    console.print("[bold]%s[/]  %s" % (escape(str(summary["scenario"])), escape(summary["about"])))
    _counts(console, summary)
    if summary["success"]:
        for group in summary["groups"]:
            console.print(group_line(group))
        pair = plans.pair_columns(plan)
        if pair:
            for group in summary["groups"]:
                _heat(console, pair, group, summary["cells"])
        _agreement(console, summary)
    if "messages" in (plan.get("figures") or []):
        table = message_table(summary)
        if table:
            console.print(table)
    show_expectations(console, summary)
    for line in warnings[:5]:
        console.print("[yellow]warning:[/] " + escape(line))
    if len(warnings) > 5:
        console.print("[yellow]%d more warnings[/]" % (len(warnings) - 5))


def _counts(console, summary):
    counts = summary["counts"]
    bad = counts["without_answer"]
    parts = ["%d runs" % counts["runs"]]
    if bad:
        whys = ", ".join("%d %s" % (n, w) for w, n in sorted(counts["why"].items())
                         if w not in ("until", "budget"))
        parts.append("[bold red]%d without an answer%s[/]"
                     % (bad, " (%s)" % escape(whys) if whys else ""))
    console.print(", ".join(parts))


def where_text(at):
    """technique culvert, loss 0.01"""
    return ", ".join("%s %s" % (k, plans.plain(v)) for k, v in at.items()) or "all"


def group_line(group):
    """One line per voice and technique."""
    low, high = group["interval"]
    return ("  %-16s %s: direct in every run for %d of %d cells, in some for %d, in none for %d%s"
            "  (runs: %d/%d, 95 %% %.1f–%.1f %%)" % (
                plans.voice_name(group["voice"]), escape(where_text(group["at"])), group["always"],
                group["pairs"], group["sometimes"], group["never"],
                ", undecided %d" % group["undecided"] if group["undecided"] else "",
                group["successes"], group["decided"], 100 * low, 100 * high))


def show_expectations(console, summary):
    """A line for each that is about these runs."""
    asked = [entry for entry in summary["expect"] if entry["status"] != "absent"]
    for entry in asked:
        console.print(expect_line(entry))
    if summary["expect"] and not asked:
        console.print("[dim]· none of the scenario's expectations is about these runs[/]")


def expect_line(entry):
    mark, style = _STATUS[entry["status"]]
    said = "; ".join(c["sentence"] for c in entry["claims"]) or "not asked here"
    voice = plans.voice_name(entry["voice"]) + ": " if entry["voice"] else ""
    return "[%s]%s[/] %s[dim]%s[/] %s" % (style, mark, voice, escape(entry["title"]), escape(said))


def _heat(console, pair, group, cells):
    mine = [c for c in cells if c["voice"] == group["voice"]
            and all(str(c["at"].get(k)) == str(v) for k, v in group["at"].items())]
    rows = list(dict.fromkeys(str(c["at"][pair[0]]) for c in mine))
    across = list(dict.fromkeys(str(c["at"][pair[1]]) for c in mine))
    if len(rows) * len(across) < 2 or len(rows) > MOST_ROWS:
        return
    table = Table(title="%s, %s" % (plans.voice_name(group["voice"]),
                                    escape(where_text(group["at"]))),
                  title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("%s \\ %s" % pair, no_wrap=True)
    for name in across:
        table.add_column(escape(name), justify="center", no_wrap=len(name) < 9)
    at = {(str(c["at"][pair[0]]), str(c["at"][pair[1]])): c for c in mine}
    for row in rows:
        table.add_row(escape(row), *[_square(at.get((row, col))) for col in across])
    console.print(table)


def _square(cell):
    if cell is None:
        return Text("")
    if cell["decided"] == 0:
        return Text("?", style="yellow")
    text = "%d/%d" % (cell["successes"], cell["decided"])
    if cell["decided"] < cell["n"]:
        text += "?"
    style = ("white on blue" if cell["successes"] == cell["decided"]
             else "black on bright_black" if cell["successes"] == 0 else "black on cyan")
    return Text(text, style=style)


def _agreement(console, summary):
    counts, found = summary["agreement"]["counts"], summary["agreement"]
    if len(found["voices"]) < 2:
        return
    style = "bold red" if counts["disagree"] else "green"
    console.print("[%s]Voices agree in %d of %d cells heard from more than one, disagree in %d[/]"
                  "%s" % (style, counts["agree"], counts["compared"], counts["disagree"],
                          ", waver in %d" % counts["unsteady"] if counts["unsteady"] else ""))
    for row in found["cells"][:10]:
        if row["verdict"] in ("disagree", "unsteady"):
            said = ", ".join("%s %d/%d" % (plans.voice_name(v), t["successes"], t["decided"])
                             for v, t in row["voices"].items())
            console.print("  %s: %s" % (escape(where_text(row["at"])), said))
