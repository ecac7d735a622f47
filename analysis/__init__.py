"""Analysis: rows and logs become tables, figures, ladders and the report. It runs no experiment.

Stands on plan.json (docs/reference/plan.md) and the event logs (docs/reference/events.md) alone.
"""
