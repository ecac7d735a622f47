"""Expected against measured: the plan's `expect` (docs/reference/measures.md, "Expectations").

An expectation is checked for each voice on its own. Nothing counts as held that was not checked.
"""

from analysis import plan as plans
from analysis.wilson import quantile

_COUNTS = ("always", "never", "always_at_least", "ever_at_most")
_RATES = ("rate_at_least", "rate_at_most")
_NUMBERS = ("median_at_least", "median_at_most", "at_most", "at_least")
_BOUNDS = ("over_bound_ms_at_most", "median_over_bound_at_most")
_KNOWN = {"where", "measure", "about", *_COUNTS, *_RATES, *_NUMBERS, *_BOUNDS}
# Times are written with six decimals; a bound met to the nanosecond is met.
_ROUNDING = 1e-6


def check_all(plan, records):
    """[{"expect", "voice", "status", "claims": [{"sentence", "ok"}], "title"}].

    status: held, broken, unanswered (runs without an answer), absent (no run matches), unknown.
    """
    out = []
    for expectation in plan.get("expect") or []:
        if not isinstance(expectation, dict):
            out.append(_entry({"about": str(expectation)}, None, "unknown", []))
            continue
        strange = sorted(set(expectation) - _KNOWN)
        if strange:
            out.append(_entry(expectation, None, "unknown", [
                {"sentence": "not checked: unknown key `%s`" % k, "ok": None} for k in strange]))
            continue
        matching = [r for r in records if _matches(r, expectation.get("where") or {})]
        voices = sorted({r["voice"] for r in matching}, key=plans.voice_order)
        if not voices:
            out.append(_entry(expectation, None, "absent", []))
        for voice in voices:
            out.append(_check(plan, expectation, voice,
                              [r for r in matching if r["voice"] == voice]))
    return out


def _entry(expectation, voice, status, claims):
    return {"expect": expectation, "voice": voice, "status": status, "claims": claims,
            "title": expectation.get("about") or _title(expectation)}


def _title(expectation):
    where = expectation.get("where") or {}
    if not isinstance(where, dict):
        return str(where)
    # Empty text is "as the kind has it": true, and of no help to a reader.
    said = ["%s %s" % (k, _text(v)) for k, v in where.items() if v != ""]
    return "%s: %s" % (expectation.get("measure", "?"), ", ".join(said) or "all runs")


def _text(value):
    if isinstance(value, list):
        return " or ".join(map(_text, value))
    return plans.plain(value)


def _matches(record, where):
    if not isinstance(where, dict):
        return False
    return all(_equal(record.get(name), wanted) for name, wanted in where.items())


def _equal(found, wanted):
    if isinstance(wanted, list):
        return any(_equal(found, w) for w in wanted)
    if isinstance(found, float) and found != found:
        found = None
    if wanted == "*" or found == wanted:
        return True
    try:
        return float(found) == float(wanted)
    except (TypeError, ValueError):
        return found is not None and str(found) == str(wanted)


def _check(plan, expectation, voice, records):
    measure = expectation.get("measure")
    columns = plans.columns(plan)
    # Besides measures, what is derived from them (rtts_off, bytes_off).
    if measure not in plans.measure_names(plan) and all(_missing(r.get(measure)) for r in records):
        return _entry(expectation, voice, "unknown",
                      [{"sentence": "not checked: there is no measure `%s`" % measure, "ok": None}])
    cells = {}
    for record in records:
        cells.setdefault(tuple(str(record.get(c)) for c in columns), []).append(record)
    claims = []
    for key in expectation:
        if key in _COUNTS:
            claims.append(_count(key, expectation[key], cells.values(), measure))
        elif key in _RATES:
            claims.append(_rate(key, expectation[key], records, measure))
        elif key in _NUMBERS:
            claims.append(_number(key, expectation[key], _values(records, measure)))
        elif key in _BOUNDS:
            claims.append(_bound(key, expectation[key], records, measure))
    silent = sum(r["why"] not in ("until", "budget") for r in records)
    if silent:
        claims.append({"sentence": "%d of %d runs gave no answer" % (silent, len(records)),
                       "ok": None})
    oks = [c["ok"] for c in claims]
    status = "broken" if False in oks else "unanswered" if None in oks or not oks else "held"
    return _entry(expectation, voice, status, claims)


def _missing(value):
    return value is None or (isinstance(value, float) and value != value)


def _values(records, measure):
    return [float(r[measure]) for r in records if not _missing(r.get(measure))]


def _count(key, wanted, cells, measure):
    cells = list(cells)
    always = sum(all(r.get(measure) is True for r in c) for c in cells)
    never = sum(all(r.get(measure) is False for r in c) for c in cells)
    ever = sum(any(r.get(measure) is True for r in c) for c in cells)
    seen, words, ok = {
        "always": (always, "in every run", always == wanted),
        "never": (never, "in no run", never == wanted),
        "always_at_least": (always, "in every run", always >= wanted),
        "ever_at_most": (ever, "in some run", ever <= wanted),
    }[key]
    bound = {"always_at_least": "at least ", "ever_at_most": "at most "}.get(key, "")
    return {"sentence": "%s %s: %d of %d cells, expected %s%s"
                        % (measure, words, seen, len(cells), bound, wanted), "ok": bool(ok)}


def _rate(key, wanted, records, measure):
    values = _values(records, measure)
    if not values:
        return {"sentence": "no run has %s" % measure, "ok": None}
    rate = sum(values) / len(values)
    ok = rate >= wanted if key == "rate_at_least" else rate <= wanted
    return {"sentence": "%s in %.1f %% of %d runs, expected %s %.1f %%" % (
        measure, 100 * rate, len(values), key[5:].replace("_", " "), 100 * wanted), "ok": ok}


def _number(key, wanted, values):
    if not values:
        return {"sentence": "no run has a value", "ok": None}
    if key.startswith("median"):
        seen, name = quantile(values, 0.5), "median"
    else:
        seen, name = (max(values), "largest") if key == "at_most" else (min(values), "smallest")
    ok = seen <= wanted + _ROUNDING if key.endswith("most") else seen >= wanted - _ROUNDING
    return {"sentence": "%s %s, expected %s %s" % (
        name, plain(seen), "at most" if key.endswith("most") else "at least", plain(wanted)), "ok": ok}


def plain(number):
    """As one writes it: 1.002, 42.04, 3000071; never 3.00007e+06."""
    return "%d" % number if abs(number) >= 1e5 else "%g" % round(number, 3)


def _bound(key, wanted, records, measure):
    pairs = [(float(r[measure]), float(r["bound_ms"])) for r in records
             if not _missing(r.get(measure)) and not _missing(r.get("bound_ms"))]
    if not pairs:
        return {"sentence": "no run has both a time and a bound", "ok": None}
    # A run without a time has not met the bound, however well the others did.
    without = len(records) - len(pairs)
    note = "" if not without else "; %d runs have no time" % without
    if key == "over_bound_ms_at_most":
        seen = max(t - b for t, b in pairs)
        inside = sum(t - b <= wanted + _ROUNDING for t, b in pairs)
        return {"sentence": "%d of %d runs within %g ms of the bound, the largest %.3f ms over%s"
                            % (inside, len(records), wanted, seen, note),
                "ok": inside == len(records)}
    ratios = [t / b for t, b in pairs if b > 0]
    seen = quantile(ratios, 0.5)
    return {"sentence": "median of measured / bound %.3f, expected at most %g%s"
                        % (seen if seen is not None else float("nan"), wanted, note),
            "ok": seen is not None and seen <= wanted and not without}
