# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one scheduled playbook: alone, without a terminal, with its output kept, and with a report when it fails.

    python run_scheduled.py JOB.json           run it (cron, systemd, or a person)
    python run_scheduled.py --try JOB.json     prove that it can start: its hosts are listed, nothing is run
    python run_scheduled.py --ended JOB.json   report a run that was killed without a word (systemd, when a unit has stopped)

Exit codes are those of ansible-playbook, and: 75 refused, since the last run still goes on; 69 it could not be started;
78 the job file is damaged; 124 out of time; 128 and the signal when it was told to end.

It says nothing when all is well. It needs the standard library alone, and the role ``schedule`` installs it.
"""

from __future__ import annotations

import contextlib
import datetime
import email.message
import fcntl
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import typing as t
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

OVERLAP, NOT_STARTED, DAMAGED, TIMEOUT = 75, 69, 78, 124
GRACE = 30  # seconds between the request to end and the end
STAMP, SECOND = "%Y%m%dT%H%M%SZ", "%Y-%m-%dT%H:%M:%SZ"
Json = dict[str, t.Any]


class Ended(Exception):
    """A signal asked this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True)
class End:
    """How a run ended: a word, an exit code, and a sentence."""

    outcome: str
    code: int
    said: str


def judged(code: int, whole: bool) -> End:
    """Read the exit code of ansible-playbook; a negative one is a signal.

    ``whole`` says that it came to its recap: 4 is a host that was not reached, and a playbook that cannot be read.
    """
    if code == 0:
        return End("passed", 0, "ended well")
    if code < 0:
        return End("killed", 128 - code, f"was killed by {signal.Signals(-code).name}")
    if not whole:
        return End("not_started", code, "did not get as far as its hosts, or was broken off")
    return End("unreachable", code, "did not reach every host") if code == 4 else End("failed", code, "failed")


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def write_whole(path: Path, content: Json) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def read_json(path: Path) -> Json:
    """Read an object; nothing when the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class Job:
    """One job, its folder of outputs, and what is said of its runs."""

    def __init__(self, content: Json) -> None:
        self.argv: list[str] = content["argv"]
        self.directory: str = content["directory"]
        self.environment: dict[str, str] = content["environment"]
        self.seconds: int = content["timeout"]
        self.keep: int = content["keep"]
        self.report: list[str] = content["report"]
        self.repeat: bool = content.get("repeat", True)
        self.notify = Path(content["notify"])
        self.folder = Path(content["output"])
        self.title = f"{content['name']} of {content['label']}"
        self.about: Json = {"project": content["project"], "playbook": content["playbook"], "job": content["name"]}
        self.status = self.folder / "status.json"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.before: str = read_json(self.status).get("outcome", "")

    def output(self, suffix: str = "") -> tuple[Path, t.TextIO]:
        """Make the file for the output of this run; a second one in the same second gets a number."""
        for number in range(1000):
            path = self.folder / f"{now().strftime(STAMP)}{f'-{number}' if number else ''}{suffix}.log"
            with contextlib.suppress(FileExistsError):
                return path, os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
        raise OSError(f"{self.folder} has a thousand outputs of this second")

    def prune(self, suffix: str = "") -> None:
        """Keep the newest outputs; those of refused runs are counted for themselves, so that they push out no other."""
        found = sorted(path for path in self.folder.glob("*.log") if path.stem.endswith("-refused") == bool(suffix))
        for path in found[: -max(self.keep, 1)]:
            path.unlink(missing_ok=True)

    def lock(self) -> int | None:
        """Take the lock; ``None`` when somebody has it."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor


def run(job: Job) -> End:
    """Run the job once; whatever its end is, it is written down and reported."""
    lock = job.lock()
    if lock is None:
        return refuse(job)
    report_lost(job)
    path, stream = job.output()
    begun, clock = now().strftime(SECOND), time.monotonic()
    with stream:
        write_whole(job.status, {"state": "running", "started": begun, "output": str(path), "pid": os.getpid()})
        try:
            end = play(job, stream, lock)
        except Ended as asked:
            end = End("killed", 128 + asked.number, f"was told to end by {signal.Signals(asked.number).name}")
        seconds = round(time.monotonic() - clock, 1)
        print(f"-- {job.title} {end.said} after {seconds} s, exit code {end.code}", file=stream, flush=True)
        tell(job, end, {"started": begun, "seconds": seconds, "output": str(path)}, stream)
    ended = {"state": "ended", "outcome": end.outcome, "code": end.code, "started": begun, "seconds": seconds}
    write_whole(job.status, {**ended, "output": str(path)})
    job.prune()
    return end


def play(job: Job, stream: t.TextIO, lock: int) -> End:
    """Start ansible-playbook in a session of its own, and see it to its end."""
    try:
        # It has the lock, too: when this program is killed, a run that goes on still refuses the next one.
        child = subprocess.Popen(
            job.argv,
            cwd=job.directory,
            env=job.environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # no terminal: whatever would ask a question fails instead
            pass_fds=(lock,),
        )
    except OSError as error:
        return End("not_started", NOT_STARTED, f"could not be started: {error.strerror}: {error.filename}")
    try:
        code = child.wait(timeout=job.seconds)
        written = os.fstat(stream.fileno()).st_size
        return judged(code, b"PLAY RECAP" in os.pread(stream.fileno(), 100_000, max(0, written - 100_000)))
    except subprocess.TimeoutExpired:
        return End("timeout", TIMEOUT, f"was ended after {job.seconds // 60} min, which is its limit")
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    """End what still runs of a run: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=GRACE)


def refuse(job: Job) -> End:
    since = read_json(job.status)
    words = f"begun {since['started']}, process {since['pid']}" if since.get("state") == "running" else "begun just now"
    end = End("overlap", OVERLAP, f"was refused: the run before it ({words}) still goes on")
    path, stream = job.output("-refused")
    with stream:
        print(f"-- {job.title} {end.said}, exit code {end.code}", file=stream, flush=True)
        tell(job, end, {"started": now().strftime(SECOND), "seconds": 0, "output": str(path)}, stream)
    job.prune("-refused")
    return end


def report_lost(job: Job) -> None:
    """Report a run that could not say how it ended: this program was killed, or the machine went down. Needs the lock."""
    status = read_json(job.status)
    if status.get("state") != "running":
        return
    end = End("lost", 1, "ended without a word: it was killed, or this machine went down")
    about = {"started": status.get("started"), "seconds": None, "output": status.get("output")}
    write_whole(job.status, {**status, "state": "ended", "outcome": end.outcome, "code": None, "seconds": None})
    tell(job, end, about, sys.stderr)


def tell(job: Job, end: End, about: Json, stream: t.TextIO) -> None:
    """Tell the operators, and write down whoever could not be told. It never fails."""
    if end.outcome == "passed" or (end.outcome == job.before and not job.repeat):
        return
    host = socket.gethostname()
    text = f"Scheduled {job.title} on controller {host} {end.said} (exit code {end.code}). "
    text += f"Begun {about['started']}; output: {about['output']}"
    print(text, file=sys.stderr)  # cron mails it, systemd keeps it
    if end.outcome not in job.report or not job.notify.exists():
        return
    settings = read_json(job.notify)
    notice = {"event": "failure", "host": host, **job.about, "operator": "schedule"}
    notice.update({"outcome": end.outcome, "code": end.code, **about, "msg": end.said, "text": text})
    ways = [("webhook", post)] if settings.get("webhook") else []
    ways += [("mail server", mail)] if settings.get("mail") else []
    if not ways:
        print("-- nobody was told: the file with the receivers is damaged", file=stream, flush=True)
    for name, send in ways:
        try:
            send(settings, notice)
        except Exception as error:  # the words of an error may hold the address, which is a secret
            print(f"-- the {name} took nothing ({reason(error)})", file=stream, flush=True)


def reason(error: BaseException) -> str:
    """Name an error without its words, but for those of the system."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return reason(error.reason)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not verified: {error.verify_message}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answered {error.smtp_code}"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: t.Any, **_options: t.Any) -> None:
        return None


def post(settings: Json, notice: Json) -> None:
    trusted = ssl.create_default_context(cafile=settings.get("webhook_ca_path") or None)
    opener = urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=trusted))
    request = urllib.request.Request(settings["webhook"], json.dumps(notice).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    with opener.open(request, timeout=settings["timeout"]):
        pass


def mail(settings: Json, notice: Json) -> None:
    """Send a mail. A password goes over verified TLS alone, or to this machine."""
    server = settings["mail"]
    host, secure = server.get("host", "localhost"), server.get("secure", "try")
    local = host in ("localhost", "127.0.0.1", "::1")
    context = ssl.create_default_context()
    if local or (secure == "try" and not server.get("password")):
        # What need not be encrypted at all need not be verified.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    options = {
        "host": host,
        "port": server.get("port") or (465 if secure == "always" else 25),
        "timeout": settings["timeout"],
    }
    letter = email.message.EmailMessage()
    letter["Subject"] = f"{notice['project'] or notice['job']}: scheduled {notice['job']}: {notice['outcome']}"
    letter["From"], letter["To"] = server.get("from", "prosaas.ops@localhost"), ", ".join(server["to"])
    letter.set_content(
        "\n".join([notice["text"], "", *(f"{key:9} {notice[key]}" for key in ("outcome", "code", "output"))])
    )
    with smtplib.SMTP_SSL(**options, context=context) if secure == "always" else smtplib.SMTP(**options) as client:
        encrypted = secure == "always"
        if secure in ("starttls", "try"):
            client.ehlo()
            if secure == "starttls" or client.has_extn("starttls"):
                client.starttls(context=context)
                encrypted = True
        if server.get("username"):
            if not encrypted and not local:
                raise smtplib.SMTPNotSupportedError("no password without TLS")
            client.login(server["username"], server.get("password", ""))
        client.send_message(letter)


def attempt(job: Job) -> End:
    """Prove that the job can start: playbook, inventory, vault and variables are read as they will be."""
    argv = [*job.argv, "--list-hosts"]
    try:
        done = subprocess.run(
            argv,
            cwd=job.directory,
            env=job.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        words = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else "nothing within two minutes"
        return End("not_started", NOT_STARTED, f"could not be started: {words}")
    print(done.stdout.strip())
    hosts = sum(line.startswith("      ") for line in done.stdout.splitlines())
    if done.returncode == 0 and not hosts:
        return End("not_started", NOT_STARTED, "would run on no host")
    if done.returncode == 0:
        return End("passed", 0, "can start")
    errors = [line for line in done.stdout.splitlines() if "ERROR" in line] or [f"exit code {done.returncode}"]
    return End("not_started", done.returncode, f"cannot start: {errors[0]}")


def ended(job: Job) -> End:
    lock = job.lock()
    if lock is not None:  # else a run goes on, which will speak for itself
        report_lost(job)
    return judged(0, True)


def main(argv: list[str]) -> int:
    os.umask(0o077)
    ways = {"--try": attempt, "--ended": ended}
    way = ways.get(argv[1], run) if len(argv) == 3 else run
    if len(argv) != (3 if way is not run else 2):
        print("usage: run_scheduled.py [--try | --ended] JOB.json", file=sys.stderr)
        return DAMAGED
    path = Path(argv[-1])
    try:
        job = Job(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        words = error.strerror if isinstance(error, OSError) else type(error).__name__
        print(f"{path} cannot be used ({words}): run the playbook schedule again.", file=sys.stderr)
        return DAMAGED

    def end(number: int, _frame: t.Any) -> t.NoReturn:
        for asked in ASKED:  # one is enough; the rest of the work is short
            signal.signal(asked, signal.SIG_IGN)
        raise Ended(number)

    for number in ASKED:
        signal.signal(number, end)
    try:
        done = way(job)
    except (Ended, OSError) as error:  # outside of the run itself: a full disk, most likely
        if isinstance(error, Ended):
            done = End("killed", 128 + error.number, "was told to end")
        else:
            done = End("not_started", NOT_STARTED, f"could not be started: {error.strerror}: {error.filename}")
        tell(job, done, {"started": now().strftime(SECOND), "seconds": 0, "output": "none"}, sys.stderr)
    if way is attempt and done.code:
        print(f"{job.title} {done.said}", file=sys.stderr)
    return done.code


ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
