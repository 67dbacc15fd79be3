"""Child processes: whatever happens, none is left."""

import asyncio
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

from harness import children
from harness.children import answer, child, finish
from harness.install import DockerWstest
from harness.subject import running, words_of
from harness.tools import Wstest
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


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = self.folder / "log.txt"


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
        self.assertEqual(words_of("a 'b c' {port}"), ["a", "b c", "{port}"])
        with self.assertRaises(Trouble):
            words_of("a 9001")


class OfficialTool(InFolder):
    def test_its_output_tells_which_case_it_is_at(self):
        script = self.folder / "wstest.py"
        script.write_text(WSTEST, "utf-8")

        class Program:
            title = "played"

            @staticmethod
            def words(_directory):
                return [sys.executable, script]

            @staticmethod
            async def release(directory):
                released.append(directory)

        started, released = [], []
        directory = self.folder / "batch"
        code = asyncio.run(Wstest(Program()).run(["1.1.1", "12.5.18"], "ws://127.0.0.1:1", directory, started.append))
        self.assertEqual((code, started, released), (0, ["1.1.1", "12.5.18"], [directory]))

    def test_its_specification_names_every_case(self):
        spec = Wstest.spec(["1.1.1"], "ws://127.0.0.1:9001", Path("/somewhere"))
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
