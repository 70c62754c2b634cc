"""Processes of the stack whose pid file is damaged or gone: they are found by the marks in their environment.

Without this, `tet down` would leave such a process behind, and nothing would restart it.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping

import psutil

from service.cli.stack.component import components
from service.cli.stack.home import settings_digest
from service.cli.stack.process import COMPONENT, MARK, PidFile, ProcessRecord, birth, dead_record
from service.cli.stack.supervisor_control import SUPERVISOR, SUPERVISOR_COMMAND, pid_file
from service.settings import Settings, SettingsInvalid


def recover(settings: Settings, say: Callable[[str], None], *, missing: bool) -> None:
    """Write the damaged pid files again, and those that are missing although their process runs.

    Args:
        settings: The stack's settings.
        say: Called with a message for each file.
        missing: Whether to look for missing files too: this examines all processes, even if nothing is up.
    """
    files = {component.name: component.pid_file for component in components(settings) if component.command is not None}
    files[SUPERVISOR] = pid_file(settings)
    damaged = {name for name, file in files.items() if file.is_damaged()}
    lost = damaged | {name for name, file in files.items() if missing and not file.path.exists()}
    found = living(settings) if lost else {}
    for name in sorted(lost):
        what = "is damaged" if name in damaged else "is missing"
        _write(name, files[name], what, found.get(name, []), settings, say)


def _write(
    name: str, file: PidFile, what: str, found: list[ProcessRecord], settings: Settings, say: Callable[[str], None]
) -> None:
    if found:
        running = next((record for record in found if record.pid is not None), found[0])
        file.write(running)
        process = "processes that it started" if running.pid is None else f"process {running.pid}"
        say(f"{file.path} {what}, and {name} still runs ({process}): the file was written again")
    elif file.is_damaged():
        file.write(dead_record(settings_digest(settings)))
        say(f"{file.path} {what}, and no process of {name} runs: it counts as dead")


def living(settings: Settings) -> dict[str, list[ProcessRecord]]:
    """Return a record of each family of processes that runs for this stack, by component, the oldest first."""
    families: dict[tuple[str, str], list[psutil.Process]] = defaultdict(list)
    environments: dict[tuple[str, str], Mapping[str, str]] = {}
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):  # another user's, or just ended
            continue
        name, mark = environment.get(COMPONENT), environment.get(MARK)
        if name and mark and _is_of(environment, settings):  # also this process, which may be the supervisor
            families[name, mark].append(process)
            environments[name, mark] = environment
    records: dict[str, list[ProcessRecord]] = defaultdict(list)
    commands = _commands(settings)
    for (name, mark), members in families.items():
        digest = _digest(environments[name, mark])
        records[name].append(_record(mark, members, commands.get(name, ()), digest))
    return {name: sorted(found, key=lambda record: record.birth) for name, found in records.items()}


def _commands(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return for each component the arguments of its first process, which the processes that it starts do not have."""
    commands = {component.name: component.command[1:3] for component in components(settings) if component.command}
    return {**commands, SUPERVISOR: SUPERVISOR_COMMAND[1:3]}


def _is_of(environment: Mapping[str, str], settings: Settings) -> bool:
    home = environment.get("TET_HOME")
    return home is not None and os.path.realpath(home) == os.path.realpath(settings.home)


def _record(mark: str, members: list[psutil.Process], command: tuple[str, ...], digest: str) -> ProcessRecord:
    """Return the record of a family; without its first process if that has ended."""
    for member in members:
        born = birth(member.pid)
        if born is not None and _is_first(member, command):
            return ProcessRecord(member.pid, born, mark, digest)
    return ProcessRecord(None, dead_record(digest).birth, mark, digest)


def _is_first(process: psutil.Process, command: tuple[str, ...]) -> bool:
    """Return whether a process leads its session and has the arguments of its component, one after the other."""
    try:
        arguments, leads = tuple(process.cmdline()), os.getsid(process.pid) == process.pid
    except (psutil.Error, OSError):
        return False
    length = len(command)
    return leads and any(arguments[at : at + length] == command for at in range(len(arguments) - length + 1))


def _digest(environment: Mapping[str, str]) -> str:
    """Return the digest of the settings that a process was started with; empty if this version cannot read them."""
    try:
        return settings_digest(Settings.from_environment(environment))
    except SettingsInvalid:
        return ""
