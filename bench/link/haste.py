"""Becomes another program, which the machine runs before others.

    haste.py NICENESS PROGRAM ARGUMENT...   (root, for a niceness below 0)

What else the machine does should not make packets late. The program gets a low niceness, in a session of its own, and a
short slice, which lets a thread that wakes up take the core from one that is in the middle of a longer slice. Not
real-time: such threads starved here after the kernel had throttled them once.
"""
import ctypes
import os
import platform
import struct
import sys

AUTOGROUP = "/proc/self/autogroup"
# sched_setattr(2), which few versions of the C library offer.
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
# The shortest that the kernel takes, ns; its own default is some milliseconds. Linux before 6.12 has no such choice.
SLICE = 100_000


def hasten(niceness):
    # Niceness counts among the processes of a session; between sessions that of their autogroups does, if there are any.
    os.setsid()
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    if os.path.exists(AUTOGROUP):
        with open(AUTOGROUP, "w") as autogroup:
            autogroup.write(str(niceness))
    number = SCHED_SETATTR.get(platform.machine())
    if number is not None:
        # struct sched_attr: size, policy (0: the usual one), flags, nice, priority, runtime (the slice), deadline, period.
        attributes = struct.pack("IIQiIQQQ", 48, 0, 0, niceness, 0, SLICE, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)


if __name__ == "__main__":
    hasten(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
