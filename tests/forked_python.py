"""A stand-in for Python that shell scripts can call: it forks programs from a process that has imported PyTorch.

Importing takes longer than all that a tiny run does, and a script starts up to sixteen programs. Told `-m` or `-c`, it
is the real Python.
"""

import json
import os
import runpy
import shlex
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__)


@contextmanager
def forked_python(folder: Path):
    """The path of the stand-in, which works as long as the context; where it cannot, that of the real Python."""
    if sys.platform != "linux":
        yield sys.executable
        return
    address, python = folder / "socket", folder / "python"
    real = shlex.join([sys.executable, "-I", "-S", str(HERE), str(address)])
    python.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    python.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(address))
        door.listen()
        command = [sys.executable, HERE, str(door.fileno())]
        environment = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
        server = subprocess.Popen(command, pass_fds=[door.fileno()], env=environment)
    yield str(python)
    server.terminate()
    server.wait()


def ask(address: str, words: list[str]) -> int:
    """Have the server run a program with this process's folder, environment and streams; its exit code."""
    if words[0].startswith("-"):
        os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 (the real Python)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        wish = json.dumps({"words": words, "folder": str(Path.cwd()), "environment": dict(os.environ)})
        socket.send_fds(line, [b"!"], [0, 1, 2])
        line.sendall(wish.encode())
        line.shutdown(socket.SHUT_WR)
        return int(line.recv(16))  # nothing where the server is gone, which is an error


def serve(door: socket.socket) -> None:
    """Fork a program for each that asks, one after the other."""
    import inference_ytvos  # noqa: F401
    import main  # noqa: F401

    while True:
        line, _ = door.accept()
        _, streams, *_ = socket.recv_fds(line, 1, 3)
        with line, line.makefile() as lines:
            wish = json.loads(lines.read())
            child = os.fork()
            if not child:
                door.close()
                become(wish, streams)
            for stream in streams:
                os.close(stream)
            _, status = os.waitpid(child, 0)
            line.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())


def become(wish: dict, streams: list[int]) -> None:
    """In the forked process: be what `python WORDS` would be."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(wish["environment"])
    os.chdir(wish["folder"])
    program = str(Path(wish["words"][0]).resolve())
    sys.argv = wish["words"]
    sys.path[0] = str(Path(program).parent)
    code = 1
    try:
        runpy.run_path(program, run_name="__main__")
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    serve(socket.socket(fileno=int(sys.argv[1])))
