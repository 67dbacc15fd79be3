"""Child processes: each in its own process group, each with a log file, none left behind.

Knows nothing of tests. A child's output always goes to a file and never to a pipe, so that no reader can stall it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess

from .trouble import Trouble

# How long a child may take to end by itself once it was asked to.
STOP_GRACE_SECONDS = 3.0
# How much of a log is shown when a child fails.
TAIL_LINES = 25


@contextlib.asynccontextmanager
async def child(command, log, cwd=None):
    """Starts `command` with its output appended to the file `log`; ends its whole process group on the way out."""
    command = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise Trouble(f"cannot start {command[0]}: {error}") from error
    try:
        yield process
    finally:
        await _end(process)


async def finish(command, log, seconds, cwd=None):
    """Runs `command` to its end within `seconds`; anything but exit code 0 is trouble, told with the end of the log."""
    async with child(command, log, cwd) as process:
        try:
            code = await asyncio.wait_for(process.wait(), seconds)
        except asyncio.TimeoutError:
            raise Trouble(f"{_words(command)}: not done within {seconds:.0f} s\n{tail(log)}") from None
    if code != 0:
        raise Trouble(f"{_words(command)}: exit code {code}\n{tail(log)}")


async def together(*coroutines, until=asyncio.FIRST_EXCEPTION):
    """Runs the coroutines at once. With the first failure (or `FIRST_COMPLETED`), the rest is cancelled and awaited."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=until)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def answer(command, seconds=20.0):
    """The standard output of a short command, stripped, or None if it failed or hung."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            timeout=seconds,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()


def tail(log):
    """The last lines of a log, indented for a message."""
    lines = log.read_text("utf-8", "replace").splitlines() or ["(nothing was logged)"]
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])


async def _end(process):
    if process.returncode is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_GRACE_SECONDS)
    # The leader may be gone while its own children are not.
    _signal_group(process, signal.SIGKILL)
    await process.wait()


def _signal_group(process, number):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _environment():
    # A Python set up by the caller must not leak into the tools, which bring their own, of two different versions.
    foreign = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _words(command):
    return " ".join(str(word) for word in command)
