"""Installs the two test tools, each once, in environments of its own. Knows Python environments and Docker, no tests.

An environment carries a marker with the versions it was made from; without a marker that matches, it is made anew.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from .children import answer, finish
from .trouble import Trouble

HERE = Path(__file__).resolve().parent.parent

SUITE = "autobahntestsuite==25.10.1"
# The last release that still makes environments of Python 2.7.
VIRTUALENV = "virtualenv==20.15.1"
# The packages that the suite rests on, in the versions that it was tried with.
SUITE_CONSTRAINTS = HERE / "wstest-constraints.txt"
IMAGE = "crossbario/autobahn-testsuite:25.10.1"

KOSOKU = "kosoku==0.1.0"
KOSOKU_PYTHON = (3, 10)

INSTALL_SECONDS = 900.0

NO_WSTEST = f"""\
The official suite ({SUITE}) needs Python 2.7 or Docker, and this machine has neither that works. Install one of them:
  - Python 2.7 with its headers, and a C compiler: `pyenv install 2.7.18` (nothing needs to be activated), or any
    `python2.7` on the PATH;
  - Docker with a running daemon, for the image {IMAGE}.
`autobahn/run --quick` needs neither: the same cases through another tool, which needs Python 3.10 or newer."""

NO_PYTHON3 = """\
The quick run needs Python 3.10 or newer with the `venv` module: neither the Python that runs this, nor one on the PATH,
nor one of pyenv is. Install one, for example `pyenv install 3.12` or your system's `python3` and `python3-venv`."""


async def wstest(folder, say):
    """Words that start the official tool: a function from the working directory of a batch to the words."""
    python = find_python2()
    if python is not None:
        environment = await _wstest_environment(folder / "wstest", python, say)
        return LocalWstest(environment)
    docker = shutil.which("docker")
    if docker is not None and answer([docker, "version", "--format", "{{.Server.Version}}"]):
        await _pull_image(docker, folder, say)
        return DockerWstest(docker)
    raise Trouble(NO_WSTEST)


async def kosoku(folder, say):
    """The path of the quick tool's program."""
    environment = folder / "kosoku"
    python = find_python3()
    if python is None:
        raise Trouble(NO_PYTHON3)

    async def make(log):
        await finish([python, "-m", "venv", environment], log, INSTALL_SECONDS)
        await finish([environment / "bin/python", "-m", "pip", "install", "--no-input", KOSOKU], log, INSTALL_SECONDS)

    await _once(environment, {"python": str(python), "packages": [KOSOKU]}, KOSOKU, make, say)
    return environment / "bin/kosoku"


class LocalWstest:
    """The official tool in an environment of Python 2.7."""

    title = f"wstest of {SUITE}, Python 2.7"

    def __init__(self, environment):
        self.environment = environment

    def words(self, _directory):
        return [self.environment / "bin/python", "-u", self.environment / "bin/wstest"]

    async def release(self, directory):
        """Nothing is left when the process is gone."""


class DockerWstest:
    """The official tool in its own image. It shares the network, and sees the working directory under the same path."""

    title = f"wstest of the image {IMAGE}"

    def __init__(self, docker):
        self.docker = docker

    def words(self, directory):
        user = f"{os.getuid()}:{os.getgid()}"
        words = [self.docker, "run", "--rm", "--init", "--name", self._name(directory), "--network", "host"]
        words += ["--user", user, "--env", "PYTHONUNBUFFERED=1", "--volume", f"{directory}:{directory}"]
        return [*words, IMAGE, "wstest"]

    async def release(self, directory):
        """A container outlives its client that was killed. After a regular end there is none, and this does nothing."""
        answer([self.docker, "rm", "--force", self._name(directory)])

    @staticmethod
    def _name(directory):
        return f"gnezdo-autobahn-{os.getpid()}-{directory.name}"


def find_python2():
    """A Python 2.7 that really runs: one on the PATH may be a pyenv shim of a version that is not active."""
    check = "import sys, ssl, zlib; print(sys.version_info[:2] == (2, 7))"
    for python in _candidates(["python2.7", "python2"], "2.7.*", "python2.7"):
        if answer([python, "-c", check]) == "True":
            return python
    return None


def find_python3():
    """A Python that the quick tool takes, and that can make environments: the running one if it can."""
    check = f"import sys, venv, ensurepip; print(sys.version_info >= {KOSOKU_PYTHON})"
    names = [f"python3.{minor}" for minor in range(14, KOSOKU_PYTHON[1] - 1, -1)]
    for python in [Path(sys.executable), *_candidates(names, "3.*", "python3")]:
        if answer([python, "-c", check]) == "True":
            return python
    return None


def _candidates(names, pyenv_version, pyenv_name):
    """Paths of programs of these names on the PATH, then of the versions of pyenv, the newest first."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    on_path = [Path(folder, name) for name in names for folder in folders if folder]
    roots = [os.environ.get("PYENV_ROOT"), answer(["pyenv", "root"]), Path.home() / ".pyenv"]
    found = set()
    for root in filter(None, roots):
        found.update(Path(root).glob(f"versions/{pyenv_version}/bin/{pyenv_name}"))
    of_pyenv = sorted(found, key=_version, reverse=True)
    return [path for path in on_path + of_pyenv if os.access(path, os.X_OK)]


def _version(path):
    """Of `versions/3.12.1/bin/python3`, the numbers 3, 12 and 1."""
    return [int(part) if part.isdigit() else -1 for part in path.parent.parent.name.split(".")]


async def _wstest_environment(environment, python, say):
    maker = environment.with_name("virtualenv")

    async def make(log):
        await finish([sys.executable, "-m", "venv", maker], log, INSTALL_SECONDS)
        await finish([maker / "bin/python", "-m", "pip", "install", "--no-input", VIRTUALENV], log, INSTALL_SECONDS)
        await finish([maker / "bin/virtualenv", "--python", python, environment], log, INSTALL_SECONDS)
        install = [environment / "bin/python", "-m", "pip", "install", "--no-input"]
        await finish([*install, "--constraint", SUITE_CONSTRAINTS, SUITE], log, INSTALL_SECONDS)

    made_from = {"python": str(python), "packages": [SUITE, *SUITE_CONSTRAINTS.read_text("utf-8").splitlines()]}
    await _once(environment, made_from, SUITE, make, say)
    return environment


async def _pull_image(docker, folder, say):
    if answer([docker, "image", "inspect", "--format", "{{.Id}}", IMAGE]):
        return
    say(f"pulling {IMAGE}")
    await finish([docker, "pull", IMAGE], folder / "docker.log", INSTALL_SECONDS)


async def _once(environment, made_from, name, make, say):
    marker = environment / "made-from.json"
    with_marker = json.dumps(made_from, indent=2) + "\n"
    if marker.is_file() and marker.read_text("utf-8") == with_marker:
        return
    say(f"installing {name} in {environment}")
    shutil.rmtree(environment, ignore_errors=True)
    log = environment.with_name(environment.name + "-install.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    await make(log)
    marker.write_text(with_marker, "utf-8")
