"""Stops the main thread of a process, the others run on: stop_thread.py PID.

Says "stopped" once it stands, and ends with the process. Held by ptrace, whose
stop ends with this program: nothing stays behind.
"""

import ctypes
import os
import signal
import sys
import time

SEIZE, INTERRUPT, CONT = 0x4206, 0x4207, 7
WALL = 0x40000000  # waitpid: of a thread, too

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long] + 2 * [ctypes.c_void_p]


def ptrace(request, tid, data=0):
    if libc.ptrace(request, tid, None, data) != 0:
        error = ctypes.get_errno()
        sys.exit(f"ptrace {request:#x} of {tid}: {os.strerror(error)}")


def wait(tid):
    _, status = os.waitpid(tid, WALL)
    return status


def in_own_code(pid):
    """Whether the stopped main thread is in the program, not in a library or a
    system call: in MPI it could hold a lock that other threads need."""
    with open(f"/proc/{pid}/task/{pid}/syscall") as f:
        call, *_, pc = f.read().split()
    program = os.readlink(f"/proc/{pid}/exe")
    with open(f"/proc/{pid}/maps") as f:
        for line in f:
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if begin <= int(pc, 16) < end:
                return call == "-1" and line.rstrip().endswith(program)
    return False


def stop(pid):
    ptrace(SEIZE, pid)
    while True:
        ptrace(INTERRUPT, pid)
        status = wait(pid)
        if not os.WIFSTOPPED(status):
            sys.exit(f"{pid} has ended")
        if status >> 16 == 0:  # a signal on its way
            ptrace(CONT, pid, os.WSTOPSIG(status))
        elif in_own_code(pid):
            return
        else:
            ptrace(CONT, pid)
        time.sleep(0.001)


def main():
    pid = int(sys.argv[1])
    signal.alarm(60)  # ends this program, whatever happens
    stop(pid)
    print("stopped", flush=True)
    while os.WIFSTOPPED(wait(pid)):
        pass


main()
