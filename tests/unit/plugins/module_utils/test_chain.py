# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain of records, as runs write it, signed with real keys: every way to forge it is named, and which record it is."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _chain, _chain_check, _record, _signature
from ansible_collections.prosaas.ops.plugins.plugin_utils import _record_copy

from .chains import World


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return World(tmp_path)


WELL = {"chain": "pass", "head": "pass", "signatures": "pass"}


def test_whole_chain_passes_and_copies_are_the_hosts_bytes(world: World) -> None:
    assert world.named() == {} and world.status() == WELL
    for run in world.runs:
        assert (world.copies / f"{run}.json").read_bytes() == (world.state / "records" / f"{run}.json").read_bytes()
    assert {path.stat().st_mode & 0o777 for path in world.copies.iterdir()} == {0o600}
    assert {row["signed_by"] for row in world.found().rows} == {"dana@example.test"}


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("signed", [True, False])
def test_changed_record_is_named(world: World, number: int, signed: bool) -> None:
    if not signed:
        world.unsign()
    world.edit(world.copy(number), outcome="passed")
    assert {run for run, found in world.named(signed).items() if found == "changed"} == {world.runs[number]}
    assert world.status(signed)[world.runs[number]] == "fail"


@pytest.mark.parametrize("key", ["key", "thief"])
def test_changed_record_is_named_whoever_signs_it_again(world: World, key: str) -> None:
    world.edit(world.copy(2), getattr(world, key), outcome="passed")
    assert world.named() == {world.runs[2]: "changed"}


def test_what_a_changed_record_says_of_the_one_before_it_counts_for_nothing(world: World) -> None:
    world.edit(world.copy(2), previous="0" * 64)
    assert world.named() == {world.runs[2]: "changed"}
    world.edit(world.copy(2), previous=None)
    assert world.named() == {world.runs[2]: "changed"}


def test_both_of_two_changed_neighbours_are_named(world: World) -> None:
    world.edit(world.copy(1), outcome="passed")
    world.edit(world.copy(2), outcome="passed")
    assert world.named() == {world.runs[1]: "changed", world.runs[2]: "changed"}
    world.unsign()
    assert {run: found for run, found in world.named().items() if found != "unsigned"} == {
        world.runs[1]: "unproven",
        world.runs[2]: "changed",
    }


def test_record_whose_chain_was_written_anew_by_nobody_who_may_is_named(world: World) -> None:
    """Whoever can write all files and has no key: hashes fit again, signatures do not."""
    world.edit(world.copy(3), outcome="passed")
    world.edit(world.copy(4), world.thief, previous=_chain.parse("x", world.copy(3).read_bytes()).sha256)
    head = {"run": world.runs[4], "sha256": _chain.parse("x", world.copy(4).read_bytes()).sha256, "at": ""}
    (world.copies / "head.json").write_text(json.dumps(head), encoding="utf-8")
    assert world.named() == {world.runs[3]: "changed", world.runs[4]: _chain_check.OTHER_KEY}


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("numbers", [[0], [2], [1, 2], [1, 3], [0, 1]])
def test_removed_record_is_named(world: World, numbers: list[int], head: bool, signed: bool) -> None:
    if not signed:
        world.unsign()
    gone = [world.remove(number) for number in numbers]
    if not head:
        (world.copies / "head.json").unlink()
    named = {run for run, found in world.named(signed).items() if found not in ("unsigned",)}
    # Of several in a row the last one is named: it carried the name of the one before it.
    assert named == {run for number, run in zip(numbers, gone) if number + 1 not in numbers}
    assert {world.named(signed)[run] for run in named} == {"removed"}


def test_removed_newest_is_named_by_the_head_and_unprovable_without(world: World) -> None:
    gone = world.remove(4)
    assert world.named() == {gone: "removed"} and world.status()[gone] == "fail"
    (world.copies / "head.json").unlink()
    assert world.named() == {}
    assert world.status() == {**WELL, "head": "unknown"}, "nobody can know, and it is no pass"


def test_removed_newest_is_named_by_the_signature_that_was_left(world: World) -> None:
    world.copy(4).unlink()
    (world.copies / "head.json").unlink()
    assert world.named() == {world.runs[4]: "removed"}


def test_damaged_head_is_unknown(world: World) -> None:
    for text in ("{", "[]", '{"run": 1, "sha256": "", "at": ""}'):
        (world.copies / "head.json").write_text(text, encoding="utf-8")
        assert world.status()["head"] == "unknown"


FORGED = "20261102T103000Z-deploy-beef"


@pytest.mark.parametrize("previous", ["as the one it is made of", "nothing", "something else"])
@pytest.mark.parametrize("key", [None, "key", "thief"])
def test_inserted_record_is_named(world: World, previous: str, key: str | None) -> None:
    said = {} if previous.startswith("as") else {"previous": None if previous == "nothing" else "0" * 64}
    times = {"started": "2026-11-02T10:30:00Z", "finished": "2026-11-02T10:31:00Z"}
    world.forge(2, FORGED, getattr(world, key) if key else None, **times, **said)
    assert world.named() == {FORGED: "inserted"}
    assert f"it follows {world.runs[1]}, as {world.runs[2]} does" in str(world.found().rows) or said


def test_record_added_at_the_end_is_named_unless_it_is_signed_by_who_may(world: World) -> None:
    data = world.copy(4).read_bytes()
    link = {"previous": _chain.parse("x", data).sha256, "previous_run": world.runs[4]}
    times = {"started": "2026-11-02T13:00:00Z", "finished": "2026-11-02T13:01:00Z"}
    added = world.forge(4, "20261102T130000Z-deploy-beef", world.thief, **link, **times)
    assert world.named() == {added.stem: "inserted"}
    _signature.sign(str(world.key), added)
    assert world.named() == {} and world.status() == {**WELL, "head": "warn"}, "as of a run of another controller"


def test_copy_under_another_name_is_named(world: World) -> None:
    shutil.copy(world.copy(2), world.copies / f"{FORGED}.json")
    assert world.named() == {FORGED: "inserted"}


def test_chain_of_a_host_that_was_rebuilt_is_one_fault(world: World) -> None:
    shutil.rmtree(world.state)
    world.run()
    world.run()
    assert {run for run, found in world.named().items() if found == "inserted"} == set(world.runs[:5])
    assert [check.id for check in world.found().checks if check.status == "fail"] == [f"records.web-1.{world.runs[4]}"]


def test_renamed_records_are_reordered(world: World) -> None:
    third, spare = world.copy(2), world.copies / "spare"
    world.copy(1).rename(spare)
    third.rename(world.copy(1))
    spare.rename(third)
    assert set(world.named()) == {world.runs[1], world.runs[2]}


def test_records_whose_links_were_put_in_another_order_are_named(world: World) -> None:
    """All hashes are written anew, so that links fit: times do not, nor do signatures."""
    world.unsign()
    order = [0, 2, 1, 3, 4]
    before: tuple[str | None, str | None] = (None, None)
    for number in order:
        world.edit(world.copy(number), previous=before[0], previous_run=before[1])
        before = (_chain.parse("x", world.copy(number).read_bytes()).sha256, world.runs[number])
    head = {"run": world.runs[4], "sha256": before[0], "at": ""}
    (world.copies / "head.json").write_text(json.dumps(head), encoding="utf-8")
    assert world.named(False)[world.runs[1]] == "reordered"
    assert f"follows {world.runs[2]}" in str(world.found(False).rows)


def test_record_signed_by_another_key_is_named(world: World) -> None:
    _signature.sign(str(world.thief), world.copy(2))
    assert world.named() == {world.runs[2]: _chain_check.OTHER_KEY}
    assert world.status(allowed=False) == {**WELL, "signatures": "warn"}, "nobody has said whose keys count"
    world.allowed.write_text(f"mallory@example.test {world.public(world.thief)}", encoding="utf-8")
    assert set(world.named()) == set(world.runs) - {world.runs[2]}


def test_signature_of_another_record_or_of_no_record_does_not_fit(world: World) -> None:
    shutil.copy(_signature.signature_of(world.copy(1)), _signature.signature_of(world.copy(2)))
    _signature.signature_of(world.copy(3)).write_text("nonsense", encoding="utf-8")
    assert world.named() == {world.runs[2]: "changed", world.runs[3]: "changed"}
    assert "the signature was changed" in str(world.found().rows)


def test_signature_for_another_purpose_does_not_fit(world: World) -> None:
    world.unsign(2)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", world.key, world.copy(2)], check=True, capture_output=True)
    assert world.named() == {world.runs[2]: "changed"}


def test_unsigned_record_is_named_and_counts_as_covered_only_before_a_signed_one(world: World) -> None:
    world.unsign(2)
    assert world.named() == {world.runs[2]: "unsigned"}
    assert world.status() == {**WELL, "signatures": "warn"}
    world.unsign(4)
    assert world.status() == {**WELL, "signatures": "unknown"}
    world.unsign(0, 1, 3)
    assert world.status(allowed=False) == {**WELL, "signatures": "warn"}


def test_key_that_may_sign_no_more_still_counts_for_what_it_signed_then(world: World) -> None:
    line = 'dana@example.test valid-before="{}" ' + world.public(world.key)
    world.allowed.write_text(line.format("20261103"), encoding="utf-8")
    assert world.named() == {}
    world.allowed.write_text(line.format("20261102103000"), encoding="utf-8")
    assert set(world.named()) == set(world.runs[3:])


@pytest.mark.parametrize("text", [None, "", "# nobody\n"])
def test_file_of_allowed_signers_that_names_nobody_is_unknown(world: World, text: str | None) -> None:
    if text is None:
        world.allowed.unlink()
    else:
        world.allowed.write_text(text, encoding="utf-8")
    assert world.named() == {} and world.status()["signatures"] == "unknown"


def test_what_is_unreadable_or_no_record_is_named_and_the_rest_still_fits(world: World) -> None:
    world.copy(2).write_bytes(b"{ cut sh")
    for name, text in (("list", "[1]"), ("other", '{"a": 1}'), ("deep", "[" * 100_000), ("newer", '{"schema": 9, "run": "newer"}')):
        (world.copies / f"{name}.json").write_text(text, encoding="utf-8")
    assert world.named() == {
        **{world.runs[2]: "unreadable", "deep": "unreadable", "newer": "unreadable"},
        **{"list": "not a record", "other": "not a record"},
    }


def test_records_of_before_are_one_warning_unless_they_are_newer_than_the_chain(world: World) -> None:
    for name, day in (("20261001T080000Z-deploy-0001", "2026-10-01"), ("20261002T080000Z-deploy-0002", "2026-10-02")):
        old = {"schema": 1, "run": name, "started": f"{day}T08:00:00Z", "finished": f"{day}T08:01:00Z", "previous": "0" * 64}
        (world.copies / f"{name}.json").write_text(json.dumps(old), encoding="utf-8")
    assert world.status() == {**WELL, "before": "warn"}
    world.edit(world.copy(2), schema=1)
    assert world.named()[world.runs[2]] == "changed", "an older schema is no way out"
    world.forge(2, FORGED, schema=1)
    assert world.named()[FORGED] == "inserted"


def test_upgrade_alone_does_not_cry_wolf(tmp_path: Path) -> None:
    world = World(tmp_path, runs=0)
    old = {"schema": 1, "run": "20261001T080000Z-deploy-0001", "started": "2026-10-01T08:00:00Z", "finished": "2026-10-01T08:01:00Z"}
    for directory in (world.copies, world.state / "records"):
        directory.mkdir(parents=True)
        (directory / f"{old['run']}.json").write_text(json.dumps(old), encoding="utf-8")
    assert set(world.status().values()) == {"warn", "skip"}
    world.run()
    assert json.loads(world.copy(0).read_text(encoding="utf-8"))["previous"] is None, "where the chain begins"
    assert world.status() == {**WELL, "before": "warn"}


def test_attempts_are_shown_as_such(world: World) -> None:
    run = "20261102T113000Z-deploy-unreachable"
    attempt = {"schema": 2, "run": run, "started": "2026-11-02T11:30:00Z", "outcome": "failed"}
    path = _record_copy.keep(world.copies, run, json.dumps(attempt).encode(), str(world.key)).path
    assert world.status() == {**WELL, "attempts": "pass"}
    world.edit(path, outcome="passed")
    assert world.named() == {run: "changed"}


def test_many_faults_are_counted_after_the_first(tmp_path: Path) -> None:
    world = World(tmp_path, runs=25)
    world.unsign()
    for number in range(25):
        world.edit(world.copy(number), previous=None)
    failed = [check for check in world.found().checks if check.status == "fail"]
    assert len(failed) == _chain_check.NAMED + 1 and failed[-1].id == "records.web-1.more"


def test_every_fault_has_a_remedy_that_names_the_record(world: World) -> None:
    world.edit(world.copy(1), outcome="passed")
    check = world.found().checks[0]
    assert f"web-1:/var/lib/prosaas/records/{world.runs[1]}.json" in check.remedy
    assert {_chain.CHANGED, _chain.REMOVED, _chain.INSERTED, _chain.REORDERED} < set(_chain_check.REMEDIES)


# The host's side


def test_runs_that_end_in_another_order_than_they_began_are_one_chain(tmp_path: Path) -> None:
    world = World(tmp_path, runs=3)
    times = {"started": "2026-11-02T07:00:00Z", "finished": "2026-11-02T10:30:00Z"}
    world.run(run="20261102T070000Z-verify-0000", **times)
    world.run()
    assert world.named() == {} and world.status() == WELL


def test_run_that_was_cut_off_before_its_record_was_written_breaks_nothing(world: World) -> None:
    path = world.state / _record.CHAIN
    link = json.loads(path.read_text(encoding="utf-8"))
    lost = {"run": "20261102T123000Z-deploy-dead", "sha256": "0" * 64, "previous": link["sha256"], "previous_run": link["run"]}
    path.write_text(json.dumps(lost), encoding="utf-8")
    world.run()
    assert world.named() == {} and world.status() == WELL
    path.unlink()
    world.run()
    assert world.named() == {} and world.status() == WELL, "the newest is found by its name"


def test_run_that_ends_twice_keeps_its_place(world: World) -> None:
    record = json.loads(world.copy(4).read_text(encoding="utf-8"))
    again = json.loads(_record.write(world.state, {**record}).read_text(encoding="utf-8"))
    assert (again["previous"], again["previous_run"]) == (record["previous"], world.runs[3])


def test_head_does_not_go_back_when_two_runs_end_side_by_side(world: World) -> None:
    _record_copy.set_head(world.copies, world.runs[3], world.copy(3).read_bytes())
    assert world.status() == WELL
