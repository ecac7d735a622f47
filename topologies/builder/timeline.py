"""Which steps of a run's timeline are due, and when the run is over: decisions only, no processes.

Times are milliseconds since the start of the run. An event is seen at its own `time_ms`, not when
its line arrived, so that a slow reader does not shift what follows it.
"""


class Condition:
    """`{"event": "punch.ready", "nodes": ["a", "b"]}`: met at the moment when the last of the nodes
    has shown the event for the first time; without `nodes` when anybody has."""

    def __init__(self, plan):
        self.event = plan["event"]
        self.waiting = set(plan.get("nodes") or ())
        self.anybody = not self.waiting
        self.latest = None  # of the nodes seen so far
        self.met_at = None

    def saw(self, name, node, time_ms):
        if self.met_at is not None or name != self.event:
            return
        if not self.anybody:
            if node not in self.waiting:
                return
            self.waiting.discard(node)
        self.latest = time_ms if self.latest is None else max(self.latest, time_ms)
        if not self.waiting:
            self.met_at = self.latest


class Timeline:
    def __init__(self, run):
        self.steps = []  # [condition or None, offset_ms, step]
        for step in run.get("timeline", []):
            condition = Condition(step["when"]) if "when" in step else None
            offset = step.get("after_ms", 0.0) if condition else step.get("at_ms", 0.0)
            self.steps.append((condition, offset, step))
        self.until = Condition(run["until"]) if run.get("until") else None
        self.linger_ms = run.get("linger_ms", 0.0)
        self.budget_ms = run["budget_ms"]
        self.names = {c.event for c, _, _ in self.steps if c}
        if self.until:
            self.names.add(self.until.event)

    def saw(self, name, node, time_ms):
        if name not in self.names:
            return
        for condition, _, _ in self.steps:
            if condition:
                condition.saw(name, node, time_ms)
        if self.until:
            self.until.saw(name, node, time_ms)

    @staticmethod
    def _due(condition, offset):
        if condition is None:
            return offset
        return None if condition.met_at is None else condition.met_at + offset

    def take_due(self, now_ms):
        """Steps due by now, in the order of their time, then of the plan; each is given once."""
        due = [
            (self._due(condition, offset), index)
            for index, (condition, offset, _) in enumerate(self.steps)
            if self._due(condition, offset) is not None and self._due(condition, offset) <= now_ms
        ]
        taken = [self.steps[index][2] for _, index in sorted(due)]
        gone = {index for _, index in due}
        self.steps = [entry for index, entry in enumerate(self.steps) if index not in gone]
        return taken

    def next_ms(self):
        """When there is next something to do, at the latest."""
        times = [self.end_ms()]
        times += [due for due in (self._due(c, o) for c, o, _ in self.steps) if due is not None]
        return min(times)

    def end_ms(self):
        if self.until and self.until.met_at is not None:
            return min(self.until.met_at + self.linger_ms, self.budget_ms)
        return self.budget_ms

    def why(self):
        """`until` if its condition was met, `budget` otherwise."""
        return "until" if self.until and self.until.met_at is not None else "budget"
