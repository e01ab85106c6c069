# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backup on real volumes: everything in them survives, a kill leaves nothing behind, services go on."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import IMAGE, LABELS, Stack, ansible, check, module, stack, status

SECRET = "n8n-key-that-nobody-may-see"

# Run inside the container, so that the volume is filled as a service fills it.
FILL = r"""
import os, sys
os.chdir("/data")
os.mkdir(".cache")
for name in (b"plain", b"-dash", b"new\nline", b"no-utf8-\xff", "שלום".encode()):
    open(name, "wb").write(name * 50)
os.symlink("nowhere", "dangling")
os.symlink("/etc/passwd", "absolute")
os.link("plain", ".cache/hard")
os.mkfifo("fifo")
with open("sparse", "wb") as file:
    file.seek(50_000_000)
    file.write(b"end")
os.chown("plain", 1234, 4321)
os.chmod("plain", 0o4750)
os.chmod(".cache", 0o1700)
os.lchown("dangling", 7, 8)
os.setxattr("-dash", "user.note", b"kept")
os.utime("new\nline", ns=(1, 1_234_567_890_123_456_789))
os.chown(".", 1000, 1000)
"""

SERVICES: dict[str, t.Any] = {
    "n8n": {"command": ["sleep", "infinity"], "volumes": ["n8n_data:/data"], "restart": "unless-stopped"},
    "other": {"command": ["sleep", "infinity"], "volumes": ["whatsapp_auth:/data"], "restart": "unless-stopped"},
}
# The engine's name of the volume shows neither the project's name nor the model's.
N8N_VOLUME = f"opstest-backup-odd-{os.getpid()}"
VOLUMES = {"n8n_data": {"name": N8N_VOLUME, "labels": LABELS}, "whatsapp_auth": {"labels": LABELS}}
WANTED = [
    {"name": "n8n_data", "required": True, "policy": "pause", "services": ["n8n"]},
    {"name": "whatsapp_auth", "policy": "stop", "services": ["other"]},
]
LIVE = [{"name": one["name"], "required": True} for one in WANTED]
KEEP = {"last": 1, "daily": 0, "weekly": 0, "monthly": 0}


@pytest.fixture()
def project(tmp_path: Path) -> Iterator[Stack]:
    with stack("backup", tmp_path, SERVICES, volumes=VOLUMES) as running:
        (tmp_path / ".env").write_text(f"N8N_ENCRYPTION_KEY={SECRET}\n", encoding="ascii")
        running.compose("exec", "-T", "n8n", "python3", "-c", FILL)
        running.compose("exec", "-T", "other", "sh", "-c", "echo creds >/data/creds.json")
        yield running


def options(project: Stack, **more: t.Any) -> dict[str, t.Any]:
    env_file = str(project.directory / ".env")
    own = {"backup_dir": str(shelf(project)), "env_file": env_file, "volumes": WANTED, "files": [".env"]}
    return {**project.options, **own, **more}


def shelf(project: Stack) -> Path:
    return project.directory / "backups"


def back_up(project: Stack, check_mode: bool = False, **more: t.Any) -> dict[str, t.Any]:
    return module("backup", check=check_mode, **options(project, **more))


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def mountpoint(volume: str) -> Path:
    return Path(docker("volume", "inspect", "-f", "{{.Mountpoint}}", volume))


def described(directory: Path) -> dict[str, tuple[t.Any, ...]]:
    """Return all that a backup must bring back, by path: type and mode, owner, content, links, attributes, time."""
    found = {}
    for root, directories, files in os.walk(os.fsencode(directory)):
        for path in [root, *(os.path.join(root, name) for name in [*directories, *files])]:
            seen = os.lstat(path)
            link = os.readlink(path) if os.path.islink(path) else b""
            whole = stat.S_ISREG(seen.st_mode)
            content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest() if whole else ""
            attributes = {} if link else {name: os.getxattr(path, name) for name in os.listxattr(path)}
            key = os.path.relpath(path, os.fsencode(directory)).decode(errors="backslashreplace")
            who = (oct(seen.st_mode), seen.st_uid, seen.st_gid)
            found[key] = (
                *who,
                seen.st_nlink,
                seen.st_size if whole else 0,
                seen.st_mtime_ns,
                link,
                content,
                attributes,
            )
    return found


def names(directory: Path) -> list[str]:
    return sorted(name for name in os.listdir(directory) if name != ".lock")


def test_everything_survives(project: Stack, tmp_path: Path) -> None:
    made = ansible("backup", **options(project, items={"backup.volume.*": [451, 453]}))
    assert made["verdict"] == "warn", made["msg"]
    assert made["changed"]
    assert status(made) == {
        "backup.volume.n8n_data": "warn",
        "backup.volume.whatsapp_auth": "pass",
        "backup.files": "pass",
        "backup.size": "skip",
    }
    assert "links lead out of the volume: absolute" in check(made, "backup.volume.n8n_data")["evidence"]
    assert check(made, "backup.volume.n8n_data")["item"] == [451, 453]
    assert names(shelf(project)) == [made["backup"]]
    directory = Path(made["path"])
    archive = directory / f"n8n_data_{made['backup']}.tar.zst"
    assert names(directory) == ["files", "manifest.json", archive.name, f"whatsapp_auth_{made['backup']}.tar.zst"]
    assert archive.stat().st_size < 1_000_000, "holes are not packed as zeros"

    # What is said about it is what the usual programs find.
    manifest = json.loads((directory / "manifest.json").read_text())
    part = next(each for each in manifest["parts"] if each["name"] == "n8n_data")
    assert part["source"] == N8N_VOLUME
    listed = subprocess.run(
        ["tar", "--zstd", "-tf", str(archive)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    summed = subprocess.run(["sha256sum", str(archive)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert (part["members"], part["sha256"], part["bytes"]) == (len(listed), summed, archive.stat().st_size)

    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    untar = ["tar", "--extract", "--zstd", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls"]
    subprocess.run([*untar, "--file", str(archive)], cwd=unpacked, check=True)
    assert described(unpacked) == described(mountpoint(N8N_VOLUME))
    assert (unpacked / "sparse").stat().st_blocks * 512 < 1_000_000

    kept = directory / "files" / ".env"
    assert SECRET in kept.read_text()
    assert SECRET not in str(made)
    assert {path.stat().st_mode & 0o077 for path in [directory, archive, kept, directory / "manifest.json"]} == {0}


def test_check_mode_tells_and_does_nothing(project: Stack) -> None:
    foretold = back_up(project, check_mode=True)
    assert foretold["changed"]
    assert "would be packed from " in check(foretold, "backup.volume.n8n_data")["evidence"]
    assert foretold["diff"][0]["before"] == "" and foretold["diff"][0]["after"].endswith("Z\n")
    assert not shelf(project).exists()
    assert not (project.directory / "state").exists()

    first = back_up(project, keep=KEEP)["backup"]
    assert back_up(project, check_mode=True, keep=KEEP)["pruned"] == [first]
    assert names(shelf(project)) == [first]
    second = back_up(project, keep=KEEP)
    assert second["pruned"] == [first]
    assert names(shelf(project)) == [second["backup"]]

    (mountpoint(f"{project.name}_whatsapp_auth") / "creds.json").unlink()
    (mountpoint(N8N_VOLUME) / "sparse").unlink()
    shrunk = back_up(project, keep=KEEP, warn_drop_percent=1)
    assert status(shrunk)["backup.size"] == "warn"
    assert shrunk["pruned"] == []
    assert names(shelf(project)) == [second["backup"], shrunk["backup"]], "nothing goes while data may be missing"


def test_checked_only_looks_and_finds_damage(project: Stack) -> None:
    missing = back_up(project, state="checked")
    assert missing["failed"] and not missing["changed"]
    assert check(missing, "backup.newest")["evidence"] == "there is none"
    assert not shelf(project).exists()

    made = back_up(project)
    good = back_up(project, state="checked")
    assert good["verdict"] == "warn", good["msg"]
    assert (good["changed"], good["backup"]) == (False, made["backup"])
    assert check(back_up(project, state="checked", max_age_hours=0), "backup.newest")["status"] == "fail"

    archive = Path(made["path"]) / f"n8n_data_{made['backup']}.tar.zst"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of rot
    archive.write_bytes(content)
    rotten = back_up(project, state="checked")
    assert rotten["failed"]
    assert status(rotten)["backup.volume.n8n_data"] == "fail"
    assert status(rotten)["backup.volume.whatsapp_auth"] == "pass"
    assert back_up(project, state="recent")["verdict"] == "pass", "its age alone"


def test_a_missing_volume_is_told_and_nothing_half_is_kept(project: Stack) -> None:
    first = back_up(project)
    project.compose("down")
    docker("volume", "rm", N8N_VOLUME)
    for check_mode in (True, False):
        failed = back_up(project, check_mode=check_mode)
        assert failed["failed"]
        assert f"The volume {N8N_VOLUME} does not exist on this host" in failed["msg"]
    assert status(failed)["backup.volume.whatsapp_auth"] == "skip"
    assert "not kept" in check(failed, "backup.volume.whatsapp_auth")["evidence"]
    assert names(shelf(project)) == [first["backup"]]
    no_such = back_up(project, volumes=[{"name": "n8n-data", "required": True}])
    assert "No service of the Compose model uses a volume n8n-data" in no_such["msg"]
    optional = back_up(project, volumes=[{"name": "n8n_data"}, {"name": "whatsapp_auth", "required": True}])
    assert optional["verdict"] == "pass"
    assert status(optional)["backup.volume.n8n_data"] == "skip"


def test_an_engine_that_is_away_is_one_sentence(project: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    away = back_up(project)
    assert away["failed"] and not away["changed"]
    assert status(away) == {"backup.engine": "unknown"}
    assert "systemctl start docker" in away["msg"]


def write_on_and_on(project: Stack) -> None:
    """Have the service write until it ends, or for a minute."""
    project.compose("exec", "-d", "n8n", "timeout", "60", "sh", "-c", "while :; do echo x >>/data/busy; done")
    deadline = time.monotonic() + 5
    while not (mountpoint(N8N_VOLUME) / "busy").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_volume_that_is_written_to_is_a_warning(project: Stack) -> None:
    write_on_and_on(project)
    # Once: with two cores and much to do, one of three copies may be made while the writer waits for its turn.
    live = back_up(project, volumes=[{**one, "tries": 1} for one in LIVE])
    assert status(live)["backup.volume.n8n_data"] == "warn"
    assert live["changed"] and not live.get("failed") and live["downtime"] == {}
    manifest = json.loads((Path(live["path"]) / "manifest.json").read_text())
    changed = next(part["changed"] for part in manifest["parts"] if part["name"] == "n8n_data")
    assert "busy" in changed


@pytest.mark.parametrize("policy", ["pause", "stop"])
def test_held_for_the_copy_and_let_go_again(project: Stack, policy: str) -> None:
    before = project.container("n8n")
    started = docker("inspect", "-f", "{{.State.StartedAt}}", before)
    untouched = docker("inspect", "-f", "{{.State.StartedAt}}", project.container("other"))
    (mountpoint(N8N_VOLUME) / "absolute").unlink()
    write_on_and_on(project)
    held = {"name": "n8n_data", "required": True, "policy": policy, "services": ["n8n"]}
    made = back_up(project, volumes=[held, {"name": "whatsapp_auth"}], stop_timeout=1)
    assert made["verdict"] == "pass", made["msg"]
    assert list(made["downtime"]) == ["n8n"] and 0 < made["downtime"]["n8n"] < 60
    assert f"n8n: {policy} for" in check(made, "backup.volume.n8n_data")["evidence"]
    assert docker("inspect", "-f", "{{.State.Status}}", before) == "running"
    assert (docker("inspect", "-f", "{{.State.StartedAt}}", before) == started) == (policy == "pause")
    assert docker("inspect", "-f", "{{.State.StartedAt}}", project.container("other")) == untouched
    assert back_up(project, state="checked")["downtime"] == {}, "it is told by the run that caused it"

    project.compose("stop", "-t", "1", "n8n")
    assert "n8n" not in back_up(project, volumes=[held])["downtime"]
    assert docker("inspect", "-f", "{{.State.Status}}", before) == "exited", "what did not run is not started"


def test_a_service_that_does_not_start_again_is_told(project: Stack, tmp_path: Path) -> None:
    """What it mounts is gone: the engine cannot start the container, and no backup is kept that hides it."""
    argv = ["docker", "run", "-d", "--rm=false", "--name", f"{project.name}-odd", "-v", f"{N8N_VOLUME}:/data"]
    argv += ["--label", f"com.docker.compose.project={project.name}", "--label", "com.docker.compose.service=odd"]
    argv += ["--label", "com.docker.compose.oneoff=False", "--label", "ops.prosaas.demo=true", "-v", f"{tmp_path}/gone:/gone", IMAGE]
    (tmp_path / "gone").mkdir()
    subprocess.run([*argv, "sleep", "infinity"], check=True, capture_output=True, timeout=60)
    try:
        held = {"name": "n8n_data", "policy": "stop", "services": ["odd"]}
        (tmp_path / "gone").rmdir()
        (tmp_path / "gone").write_text("", encoding="ascii")
        failed = back_up(project, volumes=[held], stop_timeout=1)
        assert failed["failed"]
        assert "By hand: docker start" in failed["msg"]
        assert names(shelf(project)) == []
    finally:
        docker("rm", "-f", f"{project.name}-odd")


def begin(project: Stack, **more: t.Any) -> subprocess.Popen[bytes]:
    """Start the module without Ansible, as a process to be killed."""
    arguments = {"ANSIBLE_MODULE_ARGS": options(project, stop_timeout=1, **more)}
    argv = [sys.executable, "-m", "ansible_collections.prosaas.ops.plugins.modules.backup"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)
    assert process.stdin
    process.stdin.write(json.dumps(arguments).encode())
    process.stdin.close()
    return process


def packing(project: Stack) -> subprocess.Popen[bytes]:
    """Return a backup, to be killed, in the middle of packing a volume whose service is stopped."""
    held = {"name": "n8n_data", "required": True, "policy": "stop", "services": ["n8n"]}
    process = begin(project, volumes=[held], compression="gzip")
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 1_000_000 for path in shelf(project).glob(".*/.n8n_data_*")):
        assert process.poll() is None and time.monotonic() < deadline, "it never began to pack"
        time.sleep(0.05)
    return process


def is_running(container: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if docker("inspect", "-f", "{{.State.Status}}", container) == "running":
            return True
        time.sleep(0.1)
    return False


def test_killed_in_the_middle(project: Stack) -> None:
    """kill -9 while the volume is packed: the service runs again by itself, and nothing has a final name."""
    first = back_up(project)
    project.compose("exec", "-T", "n8n", "sh", "-c", "head -c 80000000 /dev/urandom >/data/big")
    container = project.container("n8n")
    process = packing(project)
    assert docker("inspect", "-f", "{{.State.Status}}", container) == "exited"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert is_running(container, 15), "its guardian has started it"
    (left,) = [name for name in names(shelf(project)) if name != first["backup"]]
    assert left.startswith(".") and left.endswith(".partial")
    assert not list(shelf(project).glob(".*/[!.]*.tar.*")), "not even inside it has anything a final name"
    assert back_up(project, state="checked")["backup"] == first["backup"]

    # Without a guardian, as after a power cut, the next run starts it.
    docker("stop", "-t", "1", container)
    assert (shelf(project) / left / "held.json").exists()
    (mountpoint(N8N_VOLUME) / "big").unlink()
    second = back_up(project)
    assert names(shelf(project)) == sorted([first["backup"], second["backup"]])
    assert is_running(container, 1)


def test_told_to_stop_in_the_middle(project: Stack) -> None:
    """SIGTERM, as when a connection closes or a job is cancelled: the service runs again and nothing is left."""
    project.compose("exec", "-T", "n8n", "sh", "-c", "head -c 80000000 /dev/urandom >/data/big")
    process = packing(project)
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert names(shelf(project)) == []
    assert docker("inspect", "-f", "{{.State.Running}}", project.container("n8n")) == "true"


def test_two_at_once(project: Stack) -> None:
    """The second is refused in one sentence, and the first is not disturbed."""
    project.compose("exec", "-T", "n8n", "sh", "-c", "head -c 80000000 /dev/urandom >/data/big")
    process = packing(project)
    refused = back_up(project)
    assert refused["failed"] and "is still working on this host" in refused["msg"]
    assert process.wait(timeout=60) == 0
    assert len(names(shelf(project))) == 1


def test_a_key_that_is_not_the_volumes(project: Stack) -> None:
    """Without its key a volume is worth nothing, so the backup is not kept for one."""
    key = {"volume": "n8n_data", "file": "config", "field": "encryptionKey", "variable": "N8N_ENCRYPTION_KEY"}
    config = mountpoint(N8N_VOLUME) / "config"
    config.write_text(json.dumps({"encryptionKey": SECRET}), encoding="ascii")
    assert status(back_up(project, keys=[key]))["backup.key.n8n_encryption_key"] == "pass"
    for env, says in (("N8N_ENCRYPTION_KEY=another-key-of-the-tests\n", "is not the key"), ("A=1\n", "is not set")):
        (project.directory / ".env").write_text(env, encoding="ascii")
        failed = back_up(project, keys=[key])
        assert failed["failed"] and says in check(failed, "backup.key.n8n_encryption_key")["evidence"]
        assert SECRET not in str(failed)


def test_single_files_that_services_mount_are_taken(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere" / "account.json"
    secret.parent.mkdir()
    secret.write_text('{"type": "service_account"}', encoding="ascii")
    services = {"n8n": {**SERVICES["n8n"], "volumes": ["n8n_data:/data", f"{secret}:/account.json:ro", ".:/all:ro"]}}
    (tmp_path / "app").mkdir()
    with stack("mounts", tmp_path / "app", services, volumes={"n8n_data": VOLUMES["n8n_data"]}) as running:
        (running.directory / ".env").write_text("A=1\n", encoding="ascii")
        made = back_up(running, volumes=[], mounted_files=True)
        assert {part["name"] for part in made["parts"]} == {".env", str(secret)}
        assert json.loads((Path(made["path"]) / "files" / str(secret).lstrip("/")).read_text())


def test_a_full_disk(project: Stack) -> None:
    """A file system of two megabytes: the older backup stays, nothing half does, and what was held goes on."""
    first = back_up(project)
    small = project.directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(small)], check=True, timeout=10)
    try:
        kept = back_up(project, backup_dir=str(small))
        assert kept["changed"], kept["msg"]
        project.compose("exec", "-T", "n8n", "sh", "-c", "head -c 8000000 /dev/urandom >/data/big")
        failed = back_up(project, backup_dir=str(small))
        assert failed["failed"] and "No space left on device" in failed["msg"], failed["msg"]
        assert names(small) == [kept["backup"]]
        assert back_up(project, state="checked", backup_dir=str(small))["backup"] == kept["backup"]
        assert docker("inspect", "-f", "{{.State.Status}}", project.container("n8n")) == "running"
    finally:
        subprocess.run(["umount", str(small)], check=True, timeout=10)
    assert names(shelf(project)) == [first["backup"]]


def test_a_clock_that_was_set_back(project: Stack) -> None:
    """A backup of the future: the next one comes after it all the same, and of its age nothing is known."""
    made = back_up(project)["backup"]
    future = "20990101T000000Z"
    path = shelf(project) / future
    (shelf(project) / made).rename(path)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "id": future}), encoding="ascii")
    again = back_up(project, keep=KEEP)
    assert again["backup"] == "20990101T000001Z"
    assert again["pruned"] == [future], "the newest is the one that was made last"
    recent = back_up(project, state="recent")
    assert recent["failed"] and check(recent, "backup.newest")["status"] == "unknown"
    assert "ahead of this host's clock" in recent["msg"] and "timedatectl" in recent["msg"]


SEED = int(os.environ.get("KILLED_SEED") or random.randrange(1 << 32))
TAKES = 3.0  # seconds of a backup of this project, about


@pytest.mark.parametrize("number", [*range(3), *(pytest.param(more, marks=pytest.mark.soak) for more in range(3, 15))])
def test_killed_at_any_moment(project: Stack, number: int) -> None:
    """kill -9 of all that the run had started: older backups are whole, nothing half has a name, services run."""
    print(f"seed {SEED}, number {number}")
    draw = random.Random(SEED + number)
    first = back_up(project)
    project.compose("exec", "-T", "n8n", "sh", "-c", "head -c 60000000 /dev/urandom >/data/big")
    containers = [project.container("n8n"), project.container("other")]
    process = begin(project, compression=draw.choice(["zstd", "gzip"]))
    time.sleep(draw.uniform(0.2, TAKES))
    ended = process.poll() is not None
    os.killpg(process.pid, signal.SIGKILL) if not ended else None
    process.wait()
    assert all(is_running(container, 20) for container in containers)
    kept = [name for name in names(shelf(project)) if not name.startswith(".")]
    assert kept[0] == first["backup"] and len(kept) <= 2
    for name in kept:
        checked = module("restore", check=True, **restore_options(project, name))
        assert {row["status"] for row in checked["checks"]} == {"skip"}, "whole: it would be brought back"
    again = back_up(project)
    assert not again.get("failed"), again["msg"]
    assert not [name for name in names(shelf(project)) if name.startswith(".")]


def restore_options(project: Stack, backup: str) -> dict[str, t.Any]:
    own = {"backup_dir": str(shelf(project)), "env_file": str(project.directory / ".env"), "backup": backup}
    return {**project.options, **own, "overwrite": True, "links_out": "keep"}
