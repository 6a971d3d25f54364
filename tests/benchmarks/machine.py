"""What the kernel says of processes and of the machine [proc(5)]."""

import os
from pathlib import Path

from msgspec import Struct


class Cpu(Struct, frozen=True, kw_only=True):
    """Processor time in ticks until now: of one process, of the whole machine, and of that the idle part."""

    process: int
    total: int
    idle: int

    @classmethod
    def now(cls, pid: int) -> "Cpu":
        """Read them of the process *pid* [proc(5)]."""
        machine = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        of_process = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls(
            process=int(of_process[11]) + int(of_process[12]),
            total=sum(machine),
            idle=machine[3] + machine[4],
        )

    def since(self, before: "Cpu") -> tuple[float, float]:
        """Return the seconds that the process used since, and the share of the machine that all used."""
        total = max(1, self.total - before.total)
        used_s = (self.process - before.process) / os.sysconf("SC_CLK_TCK")
        return used_s, 1 - (self.idle - before.idle) / total


def resident_mb(pid: int) -> float:
    """Return the memory that the process *pid* has resident now."""
    return _status_mb(pid, "VmRSS:")


def peak_mb(pid: int) -> float:
    """Return the most memory that the process *pid* ever had resident."""
    return _status_mb(pid, "VmHWM:")


def _status_mb(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(field)[2].split()[0]) / 1024
