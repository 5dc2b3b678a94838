"""What a process that reads untrusted bytes gives up, for good, before it reads the first: files, the network, children, others.

On Linux the kernel refuses the system calls (seccomp, without privileges: linux/Documentation/userspace-api/seccomp_filter.rst);
everywhere else no new file or socket can be opened, because none may be open beyond those that are.
"""

from __future__ import annotations

import ctypes
import platform
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2  # prctl(2)
_CLONE_THREAD = 0x10000
_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # classic BPF
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000  # from here on x86-64 has the same calls a second time


@dataclass(frozen=True, slots=True)
class _Machine:
    """The numbers of its system calls. `refused`: those that open, connect, change names, execute, signal or look into others."""

    architecture: int
    clone: int
    prlimit: int
    refused: Sequence[int]


_CLONE3 = 435
_MACHINES = {
    "x86_64": _Machine(
        architecture=0xC000003E,
        clone=56,
        prlimit=302,
        refused=(
            *(2, 257, 437, 319),  # open, openat, openat2, memfd_create
            *range(41, 51),  # socket … listen
            *(53, 425),  # socketpair, io_uring_setup
            *(57, 58, 59, 322),  # fork, vfork, execve, execveat
            *(62, 200, 234, 424, 434),  # kill, tkill, tgkill, pidfd_send_signal, pidfd_open
            *(76, *range(82, 95), 133, 165),  # truncate, rename … lchown, mknod, mount
            *(*range(258, 262), *range(263, 269), 316),  # mkdirat … futimesat, unlinkat … fchmodat, renameat2
            *(101, 310, 311, 321),  # ptrace, process_vm_readv, process_vm_writev, bpf
        ),
    ),
    "aarch64": _Machine(
        architecture=0xC00000B7,
        clone=220,
        prlimit=261,
        refused=(
            *(56, 437, 279),  # openat, openat2, memfd_create
            *range(198, 207),  # socket … sendto
            *(425, 221, 281),  # io_uring_setup, execve, execveat
            *(129, 130, 131, 424, 434),  # kill, tkill, tgkill, pidfd_send_signal, pidfd_open
            *(
                *range(33, 39),
                40,
                45,
                *range(52, 56),
                276,
            ),  # mknodat … renameat, mount, truncate, fchmod … fchown, renameat2
            *(117, 270, 271, 280),  # ptrace, process_vm_readv, process_vm_writev, bpf
        ),
    ),
}


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def confine() -> None:
    """From now on. What is open stays open, and threads may be started."""
    if sys.platform == "linux" and (machine := _MACHINES.get(platform.machine())):
        _refuse(machine)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _refuse(machine: _Machine) -> None:
    """Raises OSError where the kernel has no such filters: an installation that cannot confine must not read."""
    code = _program(machine)
    program = _Program(len(code), (_Instruction * len(code))(*code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "the kernel refuses to confine the parsers' process")


def _program(machine: _Machine) -> list[_Instruction]:
    """Another architecture's calls end the process; those above, new processes and limits of others are refused."""
    refuse, unknown = (_RETURN, _ERRNO | _EPERM), (_RETURN, _ERRNO | _ENOSYS)
    steps: list[tuple[int, ...]] = [(_LOAD, _ARCHITECTURE), (_EQUAL, machine.architecture, 1, 0), (_RETURN, _KILL)]
    steps += [(_LOAD, _NUMBER), (_AT_LEAST, _X32, 0, 1), refuse]
    for number in machine.refused:
        steps += [(_EQUAL, number, 0, 1), refuse]
    steps += [(_EQUAL, _CLONE3, 0, 1), unknown]  # the C library then uses the older one, whose flags can be looked at
    steps += [(_EQUAL, machine.clone, 0, 4), (_LOAD, _FIRST_ARGUMENT), (_ANY_BIT, _CLONE_THREAD, 1, 0), refuse]
    steps += [(_RETURN, _ALLOW)]
    steps += [(_EQUAL, machine.prlimit, 0, 3), (_LOAD, _FIRST_ARGUMENT), (_EQUAL, 0, 1, 0), refuse]  # of itself alone
    steps += [(_RETURN, _ALLOW)]
    return [_Instruction(step[0], *(step[2:] or (0, 0)), step[1]) for step in steps]
