"""Child processes: whatever happens, none is left."""

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
import unittest
from pathlib import Path

from harness import children
from harness.children import answer, child, finish
from harness.install import DockerWstest
from harness.subject import CLIENT_PLACES, SERVER_PLACES, Client, Server, running, words_of
from harness.tools import KosokuAsServer, WstestAsClient, WstestAsServer
from harness.trouble import Trouble

# Prints its own process id and that of a child of its own, then sleeps, deaf to a polite request.
FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), inner.pid, flush=True)
time.sleep(600)
"""

SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()
"""

WSTEST = """
import json, os, sys
spec = json.load(open(sys.argv[sys.argv.index("--spec") + 1]))
os.makedirs(spec["outdir"])
for case in spec["cases"]:
    print("Running test case ID %s for agent server from peer tcp4:127.0.0.1:1" % case)
"""


# A tool that listens, and tells of its cases once a client comes that speaks.
FUZZING_SERVER = """
import json, socket, sys, time
assert sys.argv[sys.argv.index("--mode") + 1] == "fuzzingserver"
assert sys.argv[sys.argv.index("--webport") + 1] == "0"
spec = json.load(open(sys.argv[sys.argv.index("--spec") + 1]))
listener = socket.create_server(("127.0.0.1", int(spec["url"].rsplit(":", 1)[1])))
while True:
    stream, _ = listener.accept()
    if stream.recv(1):
        for case in spec["cases"]:
            print("Running test case ID %s for agent client from peer tcp4:127.0.0.1:1" % case)
        stream.sendall(b".")
"""

# A quick tool that writes its reports some time after a client came that spoke.
QUICK_SERVER = """
import socket, sys, time
cases = [sys.argv[at + 1] for at, word in enumerate(sys.argv) if word == "--include"]
host, port = sys.argv[-1].split(":")
listener = socket.create_server((host, int(port)))
while True:
    stream, _ = listener.accept()
    if stream.recv(1):
        stream.sendall(b".")
        time.sleep(0.3)
        sys.exit(print(*cases, "reports"))
"""

FUZZED_CLIENT = """
import socket, sys
addr, agent, cases = sys.argv[1:]
host, port = addr.split(":")
stream = socket.create_connection((host, int(port)))
stream.sendall(b".")
stream.recv(1)
print(agent, cases)
"""


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = self.folder / "log.txt"

    def program(self, script):
        """An installed tool that is played by a script."""
        path = self.folder / "wstest.py"
        path.write_text(script, "utf-8")
        return Program(path)


class Program:
    title = "played"

    def __init__(self, script):
        self.script = script
        self.released = []

    def words(self, _directory):
        return [sys.executable, self.script]

    async def release(self, directory):
        self.released.append(directory)


class Children(InFolder):
    def test_the_whole_family_is_ended(self):
        grace, children.STOP_GRACE_SECONDS = children.STOP_GRACE_SECONDS, 0.1
        self.addCleanup(setattr, children, "STOP_GRACE_SECONDS", grace)

        async def run():
            async with child([sys.executable, "-c", FAMILY], self.log):
                while self.log.read_bytes().count(b"\n") < 1:
                    await asyncio.sleep(0.02)
            return [int(word) for word in self.log.read_text("utf-8").split()]

        for process in asyncio.run(run()):
            self.assertTrue(_is_gone(process))

    def test_a_program_that_is_not_there_is_trouble(self):
        with self.assertRaisesRegex(Trouble, "cannot start"):
            asyncio.run(finish([self.folder / "nothing"], self.log, 1.0))

    def test_a_failure_is_told_with_the_end_of_the_log(self):
        with self.assertRaisesRegex(Trouble, "(?s)exit code 3.*the reason"):
            asyncio.run(finish([sys.executable, "-c", "print('the reason'); exit(3)"], self.log, 30.0))

    def test_what_takes_too_long_is_trouble(self):
        with self.assertRaisesRegex(Trouble, "not done within"):
            asyncio.run(finish([sys.executable, "-c", "import time; time.sleep(600)"], self.log, 0.2))

    def test_a_short_question_is_answered_or_not(self):
        self.assertEqual(answer([sys.executable, "-c", "print(7)"]), "7")
        self.assertIsNone(answer([sys.executable, "-c", "exit(1)"]))
        self.assertIsNone(answer([self.folder / "nothing"]))


class Servers(InFolder):
    def test_a_server_is_used_once_it_accepts_and_its_end_is_noticed(self):
        async def run():
            async with running([sys.executable, "-c", SERVER, "{port}"], self.log) as server:
                os.kill(server._process.pid, 9)
                await server.watch()

        with self.assertRaisesRegex(Trouble, "the server under test ended with exit code -9"):
            asyncio.run(run())

    def test_a_server_that_does_not_start_is_trouble(self):
        async def run():
            async with running([sys.executable, "-c", "exit('no such option')"], self.log):
                self.fail("it must not start")

        with self.assertRaisesRegex(Trouble, "(?s)exit code 1.*no such option"):
            asyncio.run(run())

    def test_a_command_must_say_where_the_port_goes(self):
        self.assertEqual(words_of("--server", "a 'b c' {port}", SERVER_PLACES), ["a", "b c", "{port}"])
        with self.assertRaisesRegex(Trouble, "--server: the command must contain {port}"):
            words_of("--server", "a 9001", SERVER_PLACES)


class Clients(unittest.TestCase):
    def test_a_client_is_told_where_to_go_and_what_to_run(self):
        client = Client("a client", ["run", "ws://{addr}", "{agent}", "{cases}"])
        words = client.words("127.0.0.1:1", "client", range(1, 4))
        self.assertEqual(words, ["run", "ws://127.0.0.1:1", "client", "1,2,3"])

    def test_a_command_must_say_where_all_of_that_goes(self):
        with self.assertRaisesRegex(Trouble, "--client: the command must contain {agent} and {cases}"):
            words_of("--client", "a {addr}", CLIENT_PLACES)


class OfficialTool(InFolder):
    def test_its_output_tells_which_case_it_is_at(self):
        program = self.program(WSTEST)
        started = []
        directory = self.folder / "batch"
        server = Server("ws://127.0.0.1:1")
        ending = asyncio.run(WstestAsClient(program).run(["1.1.1", "12.5.18"], server, directory, started.append))
        self.assertEqual((ending.code, started, program.released), (0, ["1.1.1", "12.5.18"], [directory]))
        self.assertRegex(str(ending), "^the tool ended with exit code 0, see .*log.txt$")

    def test_its_specification_names_every_case(self):
        spec = WstestAsClient.spec(["1.1.1"], "ws://127.0.0.1:9001", Path("/somewhere"))
        self.assertEqual(spec["cases"], ["1.1.1"])
        self.assertEqual(spec["exclude-cases"], [])
        self.assertEqual(spec["outdir"], "/somewhere/reports")
        [server] = spec["servers"]
        self.assertEqual(server, {"agent": "server", "url": "ws://127.0.0.1:9001", "options": {"version": 18}})

    def test_in_docker_it_sees_the_same_path_and_the_same_network(self):
        words = DockerWstest("docker").words(Path("/somewhere/007"))
        self.assertEqual(words[:2], ["docker", "run"])
        self.assertIn("/somewhere/007:/somewhere/007", words)
        self.assertEqual(words[words.index("--network") + 1], "host")
        self.assertTrue(words[words.index("--name") + 1].endswith("-007"))
        self.assertEqual(words[-1], "wstest")


class ClientsOfTheOfficialTool(InFolder):
    CASES = ["1.1.1", "12.5.18"]

    def drive(self, tool, client):
        self.started = []
        client = Client("a client", [sys.executable, "-c", client, *CLIENT_PLACES])
        return asyncio.run(WstestAsServer(tool).run(self.CASES, client, self.folder / "batch", self.started.append))

    def test_a_client_is_driven_once_the_tool_listens_and_the_tool_is_ended_when_it_is_done(self):
        program = self.program(FUZZING_SERVER)
        ending = self.drive(program, FUZZED_CLIENT)
        self.assertEqual((str(ending.who), ending.code), ("the client under test", 0))
        self.assertEqual(self.started, self.CASES)
        self.assertEqual((self.folder / "batch/client.txt").read_text("utf-8"), "client 1,2\n")
        self.assertEqual(program.released, [self.folder / "batch"])
        spec = json.loads((self.folder / "batch/spec.json").read_text("utf-8"))
        self.assertEqual((spec["cases"], spec["exclude-cases"]), (self.CASES, []))
        self.assertEqual(spec["outdir"], str(self.folder / "batch/reports"))
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", int(spec["url"].rsplit(":", 1)[1]))).close()

    def test_a_client_that_fails_is_told_with_its_log(self):
        ending = self.drive(self.program(FUZZING_SERVER), "exit('no such case')")
        self.assertRegex(str(ending), "^the client under test ended with exit code 1, see .*client.txt$")

    def test_a_tool_that_does_not_start_is_told_and_no_client_is_started(self):
        ending = self.drive(self.program("exit('port taken')"), FUZZED_CLIENT)
        self.assertRegex(str(ending), "^the tool ended with exit code 1, see .*log.txt$")
        self.assertFalse((self.folder / "batch/client.txt").exists())


class ClientsOfTheQuickTool(InFolder):
    def drive(self, client):
        script = self.folder / "kosoku"
        script.write_text(f"#!{sys.executable}\n{QUICK_SERVER}", "utf-8")
        script.chmod(0o755)
        client = Client("a client", [sys.executable, "-c", client, *CLIENT_PLACES])
        tool = KosokuAsServer(script, "played")
        return asyncio.run(tool.run(["1.1.1", "12.5.18"], client, self.folder / "batch", lambda _case: None))

    def test_its_reports_are_waited_for(self):
        self.assertEqual(self.drive(FUZZED_CLIENT).code, 0)
        self.assertEqual((self.folder / "batch/log.txt").read_text("utf-8"), "1.1.1 12.5.18 reports\n")

    def test_they_are_not_when_the_client_failed(self):
        ending = self.drive("exit(3)")
        self.assertEqual((ending.who, ending.code), ("the client under test", 3))


def _is_gone(process):
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if _is_zombie(process):
            return True
        time.sleep(0.02)
    return False


def _is_zombie(process):
    # An orphan is reaped by whoever adopted it, in its own time.
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return False
