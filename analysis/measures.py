"""The measure language (docs/reference/measures.md): one value out of the events of one run.

A measure is a table of data in the scenario. `check_measures` says what is wrong with it before any
log is read; `needed_events` lists the events that must be parsed; `evaluate` computes.
"""

import re

from analysis.errors import AnalysisError
from analysis.wilson import quantile

_MIDDLES = {"median", "mean", "p10", "p90"}
_PICKED = {"all", "any", "max", "min", "sum", "count", "first", "last"} | _MIDDLES
_KINDS = _PICKED | {"elapsed", "ratio"}
_SELECT = {"event", "nodes", "pick", "where"}
_KEYS = {"name", "of", "about", "field", "only_if", "from", "to", "match", "measure", "by"} | _SELECT
_NEEDS_FIELD = {"all", "any", "max", "min", "sum", "first", "last"} | _MIDDLES
_PAIRED = {"max", "min"} | _MIDDLES
_PICKS = ("first", "last", "each")
_EVENT = re.compile(r"^[a-z0-9_-]+\.[a-z0-9_]+$")


def check_measures(measures):
    """Raises AnalysisError, one sentence that names the measure, if a measure is not understood."""
    if not isinstance(measures, list):
        raise AnalysisError("measures must be a list")
    names = set()
    for index, measure in enumerate(measures):
        if not isinstance(measure, dict) or not isinstance(measure.get("name"), str):
            raise AnalysisError("measure %d has no `name`" % (index + 1))
        _check(measure, names)
        names.add(measure["name"])


def _check(measure, earlier):
    where = "measure '%s'" % measure["name"]
    if measure["name"] in earlier:
        raise AnalysisError("%s is there twice" % where)
    for key in measure:
        if key not in _KEYS:
            raise AnalysisError("%s: unknown key `%s`; there are: %s"
                                % (where, key, ", ".join(sorted(_KEYS))))
    kind = measure.get("of")
    if kind not in _KINDS:
        raise AnalysisError("%s: unknown `of = %s`; there are: %s"
                            % (where, kind, ", ".join(sorted(_KINDS))))
    for key in ("measure", "by"):
        if (key in measure) != (kind == "ratio"):
            raise AnalysisError("%s: `measure` and `by` are what `of = ratio` needs" % where)
    if kind == "ratio":
        if measure["measure"] not in earlier:
            raise AnalysisError("%s: there is no measure '%s' before it"
                                % (where, measure["measure"]))
        if not isinstance(measure["by"], str):
            raise AnalysisError("%s: `by` names a measure before it, or a parameter" % where)
    elif kind == "elapsed" or "match" in measure:
        if "match" in measure and (kind not in _PAIRED or not isinstance(measure["match"], str)):
            raise AnalysisError("%s: `match` names the field of a pair, for %s"
                                % (where, ", ".join(sorted(_PAIRED))))
        for key in ("from", "to"):
            _check_select(measure.get(key), "%s, `%s`" % (where, key))
        for key in ("event", "nodes", "pick", "where", "field"):
            if key in measure:
                raise AnalysisError("%s: `%s` belongs into `from` or `to`" % (where, key))
    else:
        if "from" in measure or "to" in measure:
            raise AnalysisError("%s: `from` and `to` go with `of = elapsed`" % where)
        _check_select({k: v for k, v in measure.items() if k in _SELECT}, where)
        if kind in _NEEDS_FIELD and not isinstance(measure.get("field"), str):
            raise AnalysisError("%s: `of = %s` needs a `field`" % (where, kind))
    if "only_if" in measure and measure["only_if"] not in earlier:
        raise AnalysisError("%s: `only_if` names '%s', which is no measure before it"
                            % (where, measure["only_if"]))


def _check_select(select, where):
    if not isinstance(select, dict):
        raise AnalysisError("%s: there must be an `event`" % where)
    for key in select:
        if key not in _SELECT:
            raise AnalysisError("%s: unknown key `%s`; there are: %s"
                                % (where, key, ", ".join(sorted(_SELECT))))
    event = select.get("event")
    if not isinstance(event, str) or not _EVENT.match(event):
        raise AnalysisError("%s: `event` must be `service.event`, not %r" % (where, event))
    nodes = select.get("nodes", [])
    if not isinstance(nodes, list) or not all(isinstance(n, str) for n in nodes):
        raise AnalysisError("%s: `nodes` must be a list of names" % where)
    if select.get("pick", "first") not in _PICKS:
        raise AnalysisError("%s: unknown `pick = %s`; there are: %s"
                            % (where, select.get("pick"), ", ".join(_PICKS)))
    if not isinstance(select.get("where", {}), dict):
        raise AnalysisError("%s: `where` must be a table of field = value" % where)


def needed_events(measures):
    """Names `service.event` that the measures read."""
    names = set()
    for measure in measures:
        for select in (measure, measure.get("from"), measure.get("to")):
            if isinstance(select, dict) and "event" in select:
                names.add(select["event"])
    return names


def evaluate(measures, run, log):
    """{name: value} for one run that came to an end. None: there is nothing to measure."""
    values = {}
    for measure in measures:
        condition = measure.get("only_if")
        if condition is not None and not values.get(condition):
            values[measure["name"]] = None
        else:
            values[measure["name"]] = (_ratio(measure, run, values) if measure["of"] == "ratio"
                                       else _value(measure, run, log))
    return values


def _ratio(measure, run, values):
    above, below = values[measure["measure"]], measure["by"]
    below = values[below] if below in values else run.get("parameters", {}).get(below)
    if type(above) not in (int, float) or type(below) not in (int, float) or below == 0:
        return None
    return round(above / below, 6)


def _pairs(measure, run, log):
    """Milliseconds from each `from` to the first `to` that has the same value of the field."""
    ends = {}
    for event in _select(measure["to"], run, log):
        ends.setdefault(event.get(measure["match"]), event["time_ms"])
    starts = {}
    for event in _select(measure["from"], run, log):
        starts.setdefault(event.get(measure["match"]), event["time_ms"])
    return [round(ends[key] - start, 6) for key, start in starts.items() if key in ends]


def _value(measure, run, log):
    kind = measure["of"]
    if kind == "elapsed":
        start, end = _moment(measure["from"], run, log), _moment(measure["to"], run, log)
        return None if start is None or end is None else round(end - start, 6)
    if "match" in measure:
        numbers = _pairs(measure, run, log)
        return _of_numbers(kind, numbers) if numbers else None
    events = _select(measure, run, log)
    nodes = _nodes(measure, run)
    if kind == "count":
        return len(events)
    fields = [e.get(measure["field"]) for e in events]
    if kind == "all":
        # Nothing at all was said: no answer, rather than "no". A node that stays silent while
        # another has spoken did not get there.
        if not events:
            return None
        if any(node not in {e["node"] for e in events} for node in nodes):
            return False
        return all(_truth(f) for f in fields)
    if kind == "any":
        return any(_truth(f) for f in fields) if events else None
    if kind in ("first", "last"):
        return None if not fields else fields[0 if kind == "first" else -1]
    numbers = [f for f in fields if type(f) in (int, float)]
    if not numbers:
        return None
    return _of_numbers(kind, numbers)


def _of_numbers(kind, numbers):
    if kind in ("max", "min", "sum"):
        return {"max": max, "min": min, "sum": sum}[kind](numbers)
    if kind == "mean":
        return round(sum(numbers) / len(numbers), 6)
    return round(quantile(sorted(numbers), {"median": 0.5, "p10": 0.1, "p90": 0.9}[kind]), 6)


def _truth(value):
    return value is True or (type(value) in (int, float) and value != 0)


def _moment(select, run, log):
    """The time an elapsed measure begins or ends at.

    With nodes: the time at which every one of them has shown the event, for `pick = last`; the
    earliest of any of them for `first`. None when a node that is waited for never showed it.
    """
    events = _select(select, run, log)
    if not events:
        return None
    if select.get("pick", "first") == "first":
        return events[0]["time_ms"]
    if any(node not in {e["node"] for e in events} for node in _nodes(select, run)):
        return None
    return events[-1]["time_ms"]


def _nodes(select, run):
    return [_substituted(n, run) for n in select.get("nodes", [])]


def _substituted(text, run):
    """`$initiator` in a measure is the run's parameter of that name."""
    if isinstance(text, str) and text.startswith("$"):
        name = text[1:].strip("{}")
        if name not in run.get("parameters", {}):
            raise AnalysisError("a measure names %s, and run %s has no such parameter"
                                % (text, run.get("id")))
        return str(run["parameters"][name])
    return text


def _select(select, run, log):
    nodes = _nodes(select, run)
    conditions = {k: _substituted(v, run) for k, v in select.get("where", {}).items()}
    events = [e for e in log.named(select["event"])
              if (not nodes or e["node"] in nodes)
              and all(e.get(k) == v for k, v in conditions.items())]
    pick = select.get("pick", "each")
    if pick == "each" or select.get("of") in (None, "count"):
        return events
    chosen = {}
    for event in events:  # first or last of each node
        if pick == "last" or event["node"] not in chosen:
            chosen[event["node"]] = event
    return sorted(chosen.values(), key=lambda e: e["time_ms"])
