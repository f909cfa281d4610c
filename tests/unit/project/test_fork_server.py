"""Commands that are forked behave as commands that are started: the tests rest on it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import fork_server
from tests.faults.without_wire import without_pycurl


def run_python(
    tmp_path: Path, code: str, *words: str, environment: dict[str, str] | None = None, stdin: bytes = b""
) -> tuple[fork_server.Forked, Path]:
    """Fork, and run this code there as a module's function; gives the process and the file of its output."""
    (tmp_path / "stdin").write_bytes(stdin)
    (tmp_path / "forked_code.py").write_text(
        f"import os, signal, sys, time\ndef main():\n{chr(10).join('    ' + line for line in code.splitlines())}\n"
    )
    given = {**os.environ, "FORKED_CODE": str(tmp_path), **(environment or {})}
    with open(tmp_path / "stdin", "rb") as to, open(tmp_path / "output", "wb") as out:

        def started() -> fork_server.Forked | None:
            return fork_server.start(
                words,
                entry="tests.unit.project.test_fork_server:main_of_forked_code",
                environment=given,
                folder=str(tmp_path),
                files=(to.fileno(), out.fileno(), out.fileno()),
            )

        process = started() or started()  # the first time that an environment is met, no server is made for it
    assert process is not None
    return process, tmp_path / "output"


def main_of_forked_code() -> None:
    """The entry point of `run_python`."""
    namespace: dict[str, object] = {}
    exec((Path(os.environ["FORKED_CODE"]) / "forked_code.py").read_text(), namespace)
    namespace["main"]()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("sys.exit(3)", 3),
        ("return", 0),
        ("raise ValueError('x')", 1),
        ("sys.exit('words')", 1),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("os._exit(7)", 7),
    ],
)
def test_its_status_is_that_of_a_process(tmp_path: Path, code: str, status: int) -> None:
    process, output = run_python(tmp_path, code)
    assert process.wait(30) == status
    assert process.poll() == status
    assert ("ValueError: x" in output.read_text()) is ("raise" in code)


def test_it_has_its_own_words_input_environment_folder_and_session(tmp_path: Path) -> None:
    code = (
        "print(sys.argv[1:], sys.stdin.read(), os.environ['MINE'], os.environ.get('HOME'))\n"
        "print(os.getcwd(), os.getsid(0) == os.getpid(), sys.stdout.isatty())\n"
        "print(sorted(map(int, os.listdir('/proc/self/fd')))[:4])"
    )
    process, output = run_python(tmp_path, code, "a", "b c", environment={"MINE": "ö"}, stdin=b"given")
    assert process.wait(30) == 0
    first, second, third = output.read_text().splitlines()
    assert first == f"['a', 'b c'] given ö {os.environ['HOME']}"
    assert second == f"{tmp_path} True False"
    assert third == "[0, 1, 2, 3]"  # 3 is the folder that is listed


def test_what_was_printed_and_registered_for_the_end_comes_out(tmp_path: Path) -> None:
    process, output = run_python(
        tmp_path, "import atexit\natexit.register(print, 'last')\nprint('first', end=' ')\nsys.exit(2)"
    )
    assert process.wait(30) == 2
    assert output.read_text() == "first last\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 5), (signal.SIGKILL, -9)])
def test_it_can_be_stopped_and_killed(tmp_path: Path, number: int, status: int) -> None:
    os.mkfifo(tmp_path / "ready")
    code = (
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(5))\nopen('ready', 'w').close()\nwhile True: signal.pause()"
    )
    process, _ = run_python(tmp_path, code)
    with open(tmp_path / "ready") as ready:
        ready.read()
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(30) == status
    process.send_signal(number)  # one that has ended is left alone


def test_what_is_read_at_the_start_has_a_server_of_its_own(tmp_path: Path) -> None:
    code = "import importlib.util\nprint(importlib.util.find_spec('pycurl').origin)"
    without = without_pycurl()
    origins = set()
    for environment in (None, without):
        process, output = run_python(tmp_path, code, environment=environment)
        process.wait(30)
        origins.add(output.read_text())
    assert f"{without['PYTHONPATH'].split(os.pathsep)[0]}/pycurl.py\n" in origins
    assert len(origins) == 2


def test_a_stand_in_is_called_as_the_command_is(tmp_path: Path) -> None:
    """By its name, in a script: its words, environment, folder, input, output and status are those of the command."""
    code = "print(sys.argv[1:], os.environ['SEEN'], os.getcwd(), sys.stdin.read())\n    sys.exit(5)"
    (tmp_path / "forked_code.py").write_text(f"import os, sys\ndef main():\n    {code}\n")
    given = {**os.environ, "FORKED_CODE": str(tmp_path), "SEEN": "yes", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    fork_server.put_stand_in(
        tmp_path / "stand-in", environment=given, entry="tests.unit.project.test_fork_server:main_of_forked_code"
    )
    script = "echo typed | stand-in one 'two words'"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
    assert done.stdout == f"['one', 'two words'] yes {tmp_path} typed\n\n"
    assert done.returncode == 5
