"""A program that prepares itself beside others, stands still while they are timed, and is then told to go."""
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time

from . import tools


class Background:
    """Its standard output is one JSON object per line, {"event": ...}; whatever comes is kept in `events`."""

    def __init__(self, command, env=None):
        self.events, self.lines, self.paused, self.closed = [], queue.Queue(), False, False
        self.err = tempfile.TemporaryFile()
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err, env=env,
                                        start_new_session=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def pause(self):
        if not self.paused and self.process.poll() is None:
            self.signal(signal.SIGSTOP)
            self.paused = True

    def resume(self):
        if self.paused:
            self.signal(signal.SIGCONT)
            self.paused = False

    def wait_for(self, event, limit):
        """Takes what it says until it says `event`; False when it ended before that or the time is over."""
        until = time.monotonic() + limit
        while not any(e.get("event") == event for e in self.events):
            left = until - time.monotonic()
            try:
                line = self.lines.get(timeout=max(left, 0.01))
            except queue.Empty:
                if left <= 0:
                    return False
                continue
            if line is None:
                self.closed = True
                self.lines.put(None)
                return False
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                self.events.append(value)
        return True

    def go(self):
        try:
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()
        except OSError:
            pass

    def end(self):
        self.resume()
        if any(e.get("event") == "done" for e in self.events):
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        if self.process.poll() is None:
            tools.end(self.process, grace=1.0)
        self.wait_for("", 0.2)  # what it had said
        self.err.seek(0)
        text = self.err.read().decode("utf-8", "replace")
        self.reader.join(1)
        for f in (self.err, self.process.stdin, self.process.stdout):
            try:
                f.close()
            except OSError:  # what it was not told any more
                pass
        return text
