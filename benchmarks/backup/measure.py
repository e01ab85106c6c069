# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times what a backup is made of beside the usual commands, in turn; prints how, the seconds, the sizes and the ratios."""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import _archive, _codec, _copy_restic
from ansible_collections.prosaas.ops.plugins.module_utils._restic import Restic
from ansible_collections.prosaas.ops.plugins.module_utils._shelf import VOLUME, Backup, Part, Shelf

MIB = 1 << 20
SMALL = 4096  # bytes of one of the many small files
SHARES = {"recordings": 0.4, "logs": 0.4, "sessions": 0.1, "database": 0.1}
ZSTD = _codec.CODECS["zstd"]


class Took(t.NamedTuple):
    seconds: float
    bytes: int


def fill(directory: Path, mib: int) -> None:
    """Make data as a host has it: audio that no program packs, logs, thousands of small files, a half empty database."""
    draw = random.Random(20261128)
    for number in range(max(1, int(mib * SHARES["recordings"] / 8))):
        (directory / f"call-{number}.wav").write_bytes(draw.randbytes(8 * MIB))
    words = [draw.randbytes(6).hex() for _word in range(4000)]
    for number in range(max(1, int(mib * SHARES["logs"] / 16))):
        with open(directory / f"app-{number}.log", "w", encoding="ascii") as log:
            while log.tell() < 16 * MIB:
                row = {"level": "info", "time": draw.random(), "message": " ".join(draw.choices(words, k=12))}
                log.write(json.dumps(row) + "\n")
    (directory / "session").mkdir()
    for number in range(int(mib * SHARES["sessions"] * MIB / SMALL)):
        (directory / "session" / f"pre-key-{number}.json").write_text(draw.randbytes(SMALL // 2).hex(), encoding="ascii")
    with open(directory / "database.sqlite", "wb") as database:
        for _page in range(int(mib * SHARES["database"] * MIB / SMALL)):
            database.write(draw.randbytes(SMALL // 2) + bytes(SMALL // 2))


def timed(work: Callable[[], int]) -> Took:
    """Run it with nothing of the data in memory, as at night; what it returns is its size."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")
    except OSError:  # only root may
        pass
    started = time.monotonic()
    size = work()
    return Took(time.monotonic() - started, size)


def shell(command: str, **variables: str) -> None:
    subprocess.run(["bash", "-c", command], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **variables})


class Bench:
    def __init__(self, work: Path, mib: int) -> None:
        self.data, self.out = work / "data", work / "out"
        self.data.mkdir()
        self.out.mkdir()
        self.shelf = Shelf(work / "shelf", "bench")
        self.shelf.directory.mkdir()
        fill(self.data, mib)
        self.bytes = sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())

    def tar(self) -> int:
        shell('tar czf "$OUT/data.tar.gz" -C "$DATA" .', OUT=str(self.out), DATA=str(self.data))
        return (self.out / "data.tar.gz").stat().st_size

    def tar_and_check(self) -> int:
        size = self.tar()
        shell('gzip -t "$OUT/data.tar.gz" && sha256sum "$OUT/data.tar.gz"', OUT=str(self.out))
        return size

    def ours(self) -> int:
        return _archive.pack(self.data, self.out / "data.tar.zst", ZSTD).sums.bytes

    def ours_and_check(self) -> int:
        return _archive.publish(_archive.pack(self.data, self.out / "data.tar.zst", ZSTD)).sums.bytes

    def restic(self) -> int:
        known = {"RESTIC_PASSWORD": "of the benchmark", "RESTIC_REPOSITORY": str(self.out / "alone")}
        if not (self.out / "alone").exists():
            shell("restic init -q", **known)
        shell('restic backup -q "$DATA"', DATA=str(self.data), **known)
        return used(self.out / "alone")

    def shelve(self) -> Backup:
        """A local backup of one volume, as the module backup makes it; not part of what is timed."""
        with self.shelf.draft(after=next(iter(self.shelf.backups()[0]), None)) as (backup_id, draft):
            content = _archive.publish(_archive.pack(self.data, draft / f"data_{backup_id}.tar.zst", ZSTD))
            made = Backup(backup_id, "bench", began=backup_id, ended=backup_id)
            made.parts.append(
                Part(VOLUME, "data", "data", f"data_{backup_id}.tar.zst", codec="zstd", **content.sums._asdict())
            )
            self.shelf.publish(draft, made)
        return made

    def copy(self, made: Backup) -> int:
        known = {"RESTIC_PASSWORD": "of the benchmark", "RESTIC_REPOSITORY": str(self.out / "ours")}
        place = _copy_restic.Repository(Restic("a directory", known), "bench")
        if not (self.out / "ours").exists():
            place.lay_out()
        place.put(self.shelf.path(made.id), made)
        return used(self.out / "ours")

    def restore(self) -> int:
        """What the drill does with one volume: read, unpack, compare."""
        target = self.out / "restored"
        target.mkdir()
        archive = self.out / "data.tar.zst"
        _archive.read_back(archive, ZSTD)
        _archive.extract(archive, ZSTD, target)
        assert _archive.differences(archive, ZSTD, target) == []
        shutil.rmtree(target)
        return archive.stat().st_size


def used(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def one_round(bench: Bench, note: Callable[[str, Callable[[], int]], None]) -> None:
    note("tar czf", bench.tar)
    note("ours, written", bench.ours)
    note("tar czf && gzip -t && sha256sum", bench.tar_and_check)
    note("ours, written and read back", bench.ours_and_check)
    note("ours, read, unpacked, compared", bench.restore)
    note("restic alone, first", bench.restic)
    note("ours off the host, first", partial(bench.copy, bench.shelve()))
    note("restic alone, nothing new", bench.restic)
    note("ours off the host, nothing new", partial(bench.copy, bench.shelve()))
    with open(bench.data / "app-0.log", "a", encoding="ascii") as log:
        log.write("one more line\n" * 50_000)
    note("restic alone, a log has grown", bench.restic)
    note("ours off the host, a log has grown", partial(bench.copy, bench.shelve()))


def main(rounds: int, mib: int) -> None:
    found: dict[str, list[Took]] = {}

    def note(name: str, work: Callable[[], int]) -> None:
        found.setdefault(name, []).append(timed(work))
        print(f"  {name}: {found[name][-1].seconds:.1f} s", file=sys.stderr)

    size = 0
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="prosaas-bench-") as work:
            bench = Bench(Path(work), mib)
            size = bench.bytes
            one_round(bench, note)
    tell(found, rounds, size)


def tell(found: dict[str, list[Took]], rounds: int, size: int) -> None:
    mids = {name: statistics.median(one.seconds for one in took) for name, took in found.items()}
    print(f"{size / MIB:.0f} MiB of mixed data, {os.cpu_count()} cores, {platform.system()} {platform.release()}, {rounds} rounds,")
    print("each with cold caches, in turn; medians. Off the host: a restic repository in a directory on the same disk.")
    print(f"{'':38}{'seconds':>9}{'MiB/s':>8}{'MiB there':>11}")
    for name, took in found.items():
        print(f"{name:38}{mids[name]:9.1f}{size / MIB / mids[name]:8.0f}{took[-1].bytes / MIB:11.0f}")
    pairs = [
        ("writing, tar czf to ours", "tar czf", "ours, written"),
        ("written and checked", "tar czf && gzip -t && sha256sum", "ours, written and read back"),
        ("first time off the host, restic to ours", "restic alone, first", "ours off the host, first"),
        ("nothing new, ours first to second", "ours off the host, first", "ours off the host, nothing new"),
        ("a log has grown, restic to ours", "restic alone, a log has grown", "ours off the host, a log has grown"),
    ]
    for what, one, other in pairs:
        print(f"{what}: {mids[one] / mids[other]:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, int(sys.argv[2]) if len(sys.argv) > 2 else 1024)
