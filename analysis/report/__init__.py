"""`culvert report`: one self-contained HTML page from the outputs of runs. No external resource."""

from analysis.report.page import build_report

__all__ = ["build_report"]
