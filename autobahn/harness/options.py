"""The command line."""

import argparse
import os
from dataclasses import dataclass
from typing import Optional

DESCRIPTION = """\
Runs the 517 cases of the Autobahn test suite against our echo server, or against our client, and compares every
verdict with the golden file.

Exit code 0: all verdicts are as they must be. 1: some are not. 2: the run could not be done."""

EXAMPLES = """\
examples:
  autobahn/run                                  all cases, the official tool
  autobahn/run --client                         the same for the client role
  autobahn/run --tls                            the same over wss; with --client too
  autobahn/run --quick                          all cases, the quick tool; with --client too
  autobahn/run --cases '1.*,9.1.*,12.1.18'      some cases
  autobahn/run --server 'my-server --port {port}'
  autobahn/run --url ws://127.0.0.1:9001
  autobahn/run --client 'my-client {addr} {agent} {cases}'"""

# What `--client` alone stands for.
OUR_CLIENT = ""

CLIENT_HELP = """test our client, or another one: its command, with {addr}, {agent} and {cases} in it, which runs the
cases of these numbers, then asks for /updateReports and ends with exit code 0"""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    cases: str
    jobs: int
    minutes: float
    quick: bool
    server: Optional[str]
    url: Optional[str]
    client: Optional[str]
    tls: bool
    self_test: bool


def parse(arguments) -> Options:
    """Reads the command line; ends the program on `--help` and on errors."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("autobahn/run", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=layout)
    parser.add_argument("--quick", action="store_true", help="use the quick tool (kosoku) instead of the official one")
    parser.add_argument("--cases", default="*", metavar="LIST", help="ids and globs, separated by commas (default: *)")
    parser.add_argument("--jobs", type=_positive, default=_cores(), metavar="N", help="cases at once (default: cores)")
    parser.add_argument("--timeout", type=float, default=45.0, metavar="MINUTES", help="bound of the run (default: 45)")
    subject = parser.add_mutually_exclusive_group()
    subject.add_argument("--server", metavar="COMMAND", help="test another server: its command, with {port} in it")
    subject.add_argument("--url", metavar="URL", help="test a server that runs already")
    subject.add_argument("--client", nargs="?", const=OUR_CLIENT, metavar="COMMAND", help=CLIENT_HELP)
    parser.add_argument("--tls", action="store_true", help="through TLS: our server or our client, the official tool")
    parser.add_argument("--self-test", action="store_true", help="test this harness itself, and nothing else")
    parsed = parser.parse_args(arguments)
    if parsed.tls and (parsed.quick or parsed.server or parsed.url or parsed.client):
        parser.error("--tls is for our own server and client, and the official tool")
    return Options(
        cases=parsed.cases,
        jobs=parsed.jobs,
        minutes=parsed.timeout,
        quick=parsed.quick,
        server=parsed.server,
        url=parsed.url,
        client=parsed.client,
        tls=parsed.tls,
        self_test=parsed.self_test,
    )


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _cores():
    # The cores that we may use, which in a container are fewer than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
