"""A Slurm cluster of one's own: a controller and nodes on this machine, without systemd.

Its configuration, keys, sockets, ports and state are its own, so that it neither uses nor disturbs
a cluster that this machine belongs to.
"""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest

from tests.support.machines import Machine, machine, require
from tests.support.running import ended, started, until

_T = TypeVar("_T")
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "sinfo")
_CPUS = 8
_EXPIRES = 5
"""For how many seconds a credential is valid, which is also the pause before a job is requeued; no
shorter time is allowed. See `cred_expire` in slurm.conf(5)."""
_BEGUN_WITHIN = 20
_POLL = 0.1
_CONFIGURATION = """
ClusterName=archiver
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={home}/munge/socket,cred_expire={expires}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/%n.log
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
TaskPlugin=task/none
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
SlurmdParameters=config_overrides
KillWait=2
ReturnToService=1
"""
_NODE = "NodeName=node{n} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={cpus}\n"
_PARTITION = "all"


@dataclass(frozen=True, slots=True)
class Task:
    """A task of an array, as the controller knows it."""

    number: int
    state: str
    restarts: int
    node: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster."""

    home: Path
    nodes: tuple[Machine, ...]

    def env(self, **more: str) -> dict[str, str]:
        """Return an environment in which Slurm's commands use this cluster."""
        return {"PATH": os.environ["PATH"], "SLURM_CONF": str(self.home / "slurm.conf"), **more}

    async def run(self, *command: str, **env: str) -> str:
        """Run one of Slurm's commands, and return what it prints."""
        result = await ended(*command, env=self.env(**env))
        assert result.status == 0, (command, result)
        return result.out

    async def submit(self, job: Path, **env: str) -> str:
        """Submit a job file, which runs in its directory, and return the job's ID."""
        where = f"--chdir={job.parent}"
        return (await self.run("sbatch", "--parsable", where, str(job), **env)).strip()

    async def tasks(self, job: str) -> dict[int, Task]:
        """Return the tasks of an array that have been started, by their number."""
        shown = await self.run("scontrol", "--oneliner", "show", "job", job)
        return {task.number: task for line in shown.splitlines() if (task := _task(line))}

    async def running(self, job: str, count: int) -> dict[int, Task]:
        """Wait until this many tasks of an array run, and return them, by their number."""

        async def look() -> dict[int, Task] | None:
            tasks = await self.tasks(job)
            states = [task.state for task in tasks.values()]
            return tasks if states == ["RUNNING"] * count else None

        return await _repeat(look, _BEGUN_WITHIN)

    async def is_idle(self) -> bool:
        """Return whether every node is up, and without a job."""
        shown = await ended("sinfo", "--noheader", "--Node", "--format=%T", env=self.env())
        return shown.out.split() == ["idle"] * len(self.nodes)

    async def emptied(self, within: float) -> None:
        """Wait until no job waits, runs or is about to end."""

        async def look() -> bool:
            return not await self.run("squeue", "--noheader")

        await _repeat(look, within)

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Let no task begin meanwhile."""
        partition = ("scontrol", "update", f"PartitionName={_PARTITION}")
        await self.run(*partition, "State=DOWN")
        try:
            yield
        finally:
            await self.run(*partition, "State=UP")

    async def fail(self, number: int) -> None:
        """Kill a node with all its processes, and tell the controller.

        By itself the controller would find that out, but only after half a minute or more.
        """
        await self.nodes[number].kill()
        down = (f"NodeName=node{number}", "State=DOWN", "Reason=power cut")
        await self.run("scontrol", "update", *down)


@asynccontextmanager
async def cluster(nodes: int) -> AsyncIterator[Cluster]:
    """Start a cluster with this many nodes, and kill all of its processes afterwards."""
    require(*_PROGRAMS)
    async with AsyncExitStack() as stack:
        # The path of a socket has at most 107 bytes, and those of tests are long.
        home = Path(stack.enter_context(TemporaryDirectory(prefix="archiver-slurm-")))
        _configure(home, nodes)
        controller = await stack.enter_async_context(machine())
        machines = [await stack.enter_async_context(machine()) for _ in range(nodes)]
        running = Cluster(home, tuple(machines))
        await _start(running, controller, stack)
        yield running


def _configure(home: Path, nodes: int) -> None:
    for name in ("munge", "state"):
        (home / name).mkdir(mode=0o700)
    (home / "munge/key").touch(mode=0o600)
    (home / "munge/key").write_bytes(os.urandom(1024))
    ports = _free_ports(nodes + 1)
    text = _CONFIGURATION.format(ports=ports, home=home, expires=_EXPIRES)
    for n, port in enumerate(ports[1:]):
        text += _NODE.format(n=n, port=port, cpus=_CPUS)
    text += f"PartitionName={_PARTITION} Nodes=ALL Default=YES LLN=YES\n"
    (home / "slurm.conf").write_text(text)


async def _start(cluster: Cluster, controller: Machine, stack: AsyncExitStack) -> None:
    """Start the daemons, and wait until every node is ready for jobs."""
    munge = cluster.home / "munge"
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
    options = (f"--{option}={munge / file}" for option, file in files.items())
    await _daemon(cluster, controller, stack, "munged", "--foreground", "--force", *options)
    await until((munge / "socket").exists)
    await _daemon(cluster, controller, stack, "slurmctld", "-D", "-i")
    for number, node in enumerate(cluster.nodes):
        await _daemon(cluster, node, stack, "slurmd", "-D", "-N", f"node{number}")
    try:
        await _repeat(cluster.is_idle, _BEGUN_WITHIN)
    except TimeoutError:
        pytest.skip(f"no Slurm cluster starts here: {_last_words(cluster.home)}")


async def _daemon(cluster: Cluster, machine: Machine, stack: AsyncExitStack, *command: str) -> None:
    with (cluster.home / f"{command[0]}.out").open("ab") as out:
        process = started(
            *machine.command(*command), env=cluster.env(), stdout=out.fileno(), stderr=out.fileno()
        )
        await stack.enter_async_context(process)


async def _repeat(look: Callable[[], Awaitable[_T | None]], within: float) -> _T:
    """Look again and again until something is found; raise TimeoutError if that takes longer."""
    async with asyncio.timeout(within):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(_POLL)


def _last_words(home: Path) -> str:
    lines = [line for log in home.glob("*.out") for line in log.read_text().splitlines()]
    return next((line for line in reversed(lines) if "fatal" in line), "it says not why")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _task(line: str) -> Task | None:
    """Read one line of `scontrol --oneliner show job`; None if it is about several tasks."""
    values = dict(re.findall(r"(\w+)=(\S*)", line))
    if not values["ArrayTaskId"].isdecimal():
        return None
    return Task(
        int(values["ArrayTaskId"]),
        values["JobState"],
        int(values["Restarts"]),
        values.get("BatchHost", ""),
    )
