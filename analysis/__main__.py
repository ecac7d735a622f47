"""python3 -m analysis rows PLAN OUT | report DIR... --out FILE | figures DIR... --figures DIR."""

import argparse
import sys
from pathlib import Path

from analysis.errors import AnalysisError


def main(argv=None):
    parser = argparse.ArgumentParser(prog="analysis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rows = commands.add_parser("rows", help="logs to results.csv and summary.json")
    rows.add_argument("plan", type=Path)
    rows.add_argument("out", type=Path, help="the folder that has logs/")
    rows.add_argument("--quiet", action="store_true", help="verdicts only")
    report = commands.add_parser("report", help="one self-contained HTML page")
    report.add_argument("dirs", type=Path, nargs="+", metavar="DIR")
    report.add_argument("--out", type=Path, required=True)
    report.add_argument("--figures", type=Path, metavar="DIR", help="also figures for papers")
    report.add_argument("--max-mb", type=float, default=15.0, help="limit of the page's size")
    figures = commands.add_parser("figures", help="figures as PNG and SVG, for papers")
    figures.add_argument("dirs", type=Path, nargs="+", metavar="DIR")
    figures.add_argument("--figures", "--out", dest="figures", type=Path, required=True)
    ladder = commands.add_parser("ladder", help="the ladder diagram of one run, as SVG")
    ladder.add_argument("dir", type=Path)
    ladder.add_argument("id")
    ladder.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    try:
        return {"rows": _rows, "report": _report, "figures": _figures,
                "ladder": _ladder}[options.command](options)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stdout = None
        return 0
    except AnalysisError as error:
        print("analysis: %s" % error, file=sys.stderr)
        return 2


def _rows(options):
    from analysis import console, plan as plans
    from analysis.rows import rows_from
    plan = plans.load_plan(options.plan)
    frame = rows_from(plan, options.out)
    summary = frame.attrs["summary"]
    if options.quiet:
        console.show_expectations(console.make(), summary)
    else:
        console.show(plan, summary, frame.attrs["warnings"])
    return 0


def _report(options):
    from analysis.report import build_report
    size = build_report(options.dirs, options.out, max_bytes=int(options.max_mb * 1e6))
    print("%s  (%.1f MB)" % (options.out, size / 1e6))
    return _figures(options) if options.figures else 0


def _figures(options):
    from analysis.figures import write_figures
    for path in write_figures(options.dirs, options.figures):
        print(path)
    return 0


def _ladder(options):
    from analysis import plan as plans
    from analysis.events import read_log
    from analysis.ladder import build
    from analysis.ladder_svg import draw
    plan = plans.load_plan(options.dir)
    run = next((r for r in plan["runs"] if r["id"] == options.id), None)
    if run is None:
        raise AnalysisError("%s: there is no run '%s'" % (options.dir, options.id))
    svg = draw(build(run, read_log(plans.log_path(options.dir, run))), standalone=True)
    if options.out:
        options.out.write_text(svg, encoding="utf-8")
    else:
        print(svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
