"""Keeps a whole network inside namespaces of its own, so that nothing of it can outlive its builder.

A network lives in a process-id namespace whose first process is its builder: when that dies, by
whatever signal, the kernel kills every other process in there, and with the last of them go the
network namespaces, their interfaces and the mounts. Nothing has a name outside.
"""

import ctypes
import os
import select
import signal
import sys

# linux/sched.h and linux/mount.h; Python 3.11 has none of them.
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x4000, 0x40000, 2, 4, 8
PR_SET_PDEATHSIG = 1

WORK = "/run/culvert"  # secrets and name files of a network: a tmpfs that only it sees

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor):
    """Moves this process into the network namespace that `descriptor` stands for."""
    _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")


def mount(source, target, kind, flags=0, data=None):
    encode = lambda text: text.encode() if text is not None else None  # noqa: E731
    _check(
        _libc.mount(encode(source), target.encode(), encode(kind), flags, encode(data)),
        f"mount {target}",
    )


def die_with_parent():
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _orphaned(alive):
    """Whether our parent, which alone holds the other end of pipe `alive`, is gone."""
    return bool(select.select([alive], [], [], 0)[0])


def confined(function, *, terminal=False):
    """Runs `function()` as the first process of new namespaces, in a child of a child of ours.

    Returns the process id of the child to wait for; its exit status is what `function` returned
    (an int), 70 if it raised. With `terminal` the processes stay in our session and process group,
    for a prompt. Both children die with us, however we die.
    """
    parent = os.getpid()
    worker = os.fork()
    if worker:
        return worker
    status = 70
    try:
        if not terminal:
            os.setsid()
        die_with_parent()
        if os.getppid() != parent:  # it died before it could take us along
            os._exit(status)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN if terminal else signal.SIG_DFL)
        unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID)
        first_read, first_write = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(first_write)
            die_with_parent()
            if _orphaned(first_read):
                os._exit(status)
            _prepare_mounts()
            status = function()
        else:
            os.close(first_read)
            _, result = os.waitpid(first, 0)
            status = os.waitstatus_to_exitcode(result)
            status = status if status >= 0 else 128 - status
    except KeyboardInterrupt:
        status = 130
    except BaseException as error:  # pylint: disable=broad-except
        print(f"mininet_builder: {error}", file=sys.stderr)
        if os.environ.get("CULVERT_TRACE"):
            import traceback  # pylint: disable=import-outside-toplevel

            traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _prepare_mounts():
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", WORK, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=64m")


def prepare():
    """Once, before the first `confined`: the mount point that every network mounts upon."""
    os.makedirs(WORK, mode=0o700, exist_ok=True)
