"""A client of the monitor console's socket, for tests: sends lines, takes the answers."""
import os
import socket
import time

from vm import TMP, check

PROMPT = b"(umbra) "
GREETING = "Umbra's monitor; help lists the commands\n"
WAIT_S = 20


class Console:
    """Connects to the socket at path; umbra may still be making it, or be busy with others."""

    def __init__(self, path):
        end = time.monotonic() + WAIT_S
        self.data = b""
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(WAIT_S)
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                self.socket.close()
                check(time.monotonic() < end, f"nobody listens at {path}")
                time.sleep(0.01)  # between two looks; the deadline decides

    def greeted(self):
        got = self.answer()
        check(got == GREETING, f"the console greets with {got!r}")
        return self

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def answer(self):
        """What comes before the next prompt; each answer ends with one."""
        while PROMPT not in self.data:
            more = self.socket.recv(65536)
            check(more, f"the console closed the connection after {self.data[-200:]!r}")
            self.data += more
        answer, self.data = self.data.split(PROMPT, 1)
        return answer.decode()

    def say(self, line):
        self.send(line + "\n")
        return self.answer()

    def refused(self, line):
        got = self.say(line)
        check(got.startswith("error: ") and got.endswith("\n"), f"{line!r} gave {got!r}")
        check(got.count("\n") == 1, f"{line!r} gave more than a line: {got!r}")
        return got

    def rest(self):
        """All that comes until the end of the connection."""
        while True:
            more = self.socket.recv(65536)
            if not more:
                return self.data.decode()
            self.data += more

    def close(self):
        self.socket.close()


def socket_path(name="monitor"):
    return os.path.join(TMP, f"{name}.sock")
