"""By which rule each world's TCP acknowledges and closes, and one end's acknowledgements by it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tcp:
    """How a world's TCP looks on the wire. Bytes are of IP packets, times in ms."""

    header: int            # IPv4 20, TCP 20, time stamps 12 (RFC 7323)
    syn: int
    segment: int           # most bytes of data in one
    delay: float           # an acknowledgement waits so long for data to ride on
    late: float            # or by so much longer: the granularity of its timer
    every: int             # or for so many segments
    first_at_once: bool    # the first segment is acknowledged at once by who has sent nothing yet
    learns: bool           # all are, until it has seen data follow data (Linux' ping-pong mode)
    joins: bool            # writes of one moment leave as one segment
    tolerance: float       # what events of one moment may differ by
    closing: int           # packets when the device closes: FIN, FIN, and an acknowledgement of
                           # each, unless the second FIN carries one
    closed: int            # and when the other end does
    crossed: int           # more when the two FINs cross, so that neither carries one


TCP = {
    # ns-3 3.37, tcp-socket-base.cc: a SYN's options are window scale, time stamps and SACK permitted;
    # DelAckCount 2; model/ns3/tcp_socket.cc sets DelAckTimeout to 40 ms, as Linux; "always respond to
    # first data packet"; Send only schedules. Its FINs carry no acknowledgement of the other's.
    "ns3": Tcp(header=52, syn=56, segment=1448, delay=40.0, late=0.0, every=2, first_at_once=True,
               learns=False, joins=True, tolerance=0.001, closing=4, closed=4, crossed=0),
    # Linux 6: SYN of 40 bytes; TCP_DELACK_MIN 40 ms, in ticks of 4 ms (HZ 250); tcp_cleanup_rbuf
    # acknowledges what was read unless in ping-pong mode, which tcp_event_data_sent begins and a
    # missed delay ends.
    "linux": Tcp(header=52, syn=60, segment=1448, delay=40.0, late=8.0, every=2, first_at_once=False,
                 learns=True, joins=False, tolerance=1.5, closing=3, closed=3, crossed=1),
}


class Receiver:
    """One end's acknowledgements that no data carries: `alone`, their times from `start` on.

    `seen`: times at which bare ones were seen to leave. They decide only where data came or left within
    the timer's own granularity, and `slack` ms, of the moment at which one was due: then either order is
    TCP's.
    """

    def __init__(self, tcp, start, seen=(), slack=0.0):
        self.tcp, self.start, self.seen, self.alone = tcp, start, seen, []
        self.late = tcp.late and tcp.late + slack
        self.waiting = self.due = self.last = None
        self.conversing = self.has_sent = False

    def _pass(self, now, before=None):
        if not self.waiting or self.due is None:
            return
        tcp = self.tcp
        if self.due - tcp.tolerance <= now <= self.due + self.late + tcp.tolerance and self.late:
            before = now if before is None else before
            fired = any(self.due - tcp.tolerance <= at < before for at in self.seen)
        else:
            fired = now > self.due + tcp.tolerance
        if fired:
            self._tell(self.due)
            self.waiting = self.due = None
            self.conversing = False

    def _tell(self, at):
        if at >= self.start:
            self.alone.append(at)

    def segments(self, now, count, passed=None):
        """So many are taken in; on the line they were at `passed`."""
        self._pass(now, passed)
        tcp = self.tcp
        at_once = (tcp.learns and not self.conversing) or (
            tcp.first_at_once and self.last is None and not self.has_sent)
        self.last = now
        for _ in range(count):
            self.waiting = (self.waiting or 0) + 1
            if at_once or self.waiting >= tcp.every:
                self._tell(now)
                self.waiting = self.due = None
                at_once = at_once and tcp.learns
        if self.waiting and self.due is None:
            self.due = now + tcp.delay

    def sent(self, now):
        """Data or a FIN went out, and what was due with it."""
        self._pass(now)
        self.has_sent = True
        if self.last is not None and now - self.last < self.tcp.delay:
            self.conversing = True
        self.waiting = self.due = None

    def end(self):
        self._pass(float("inf"))
