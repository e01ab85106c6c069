# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is handed out: the tarball, as Galaxy would take it, the execution environment, and the docs site."""

from __future__ import annotations

import concurrent.futures
import re
import shutil
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from result import Counts, report, run
from tree import COPY, WORK, tracked_files

SECONDS = 400
PACKAGE = WORK / "package"
SITE = WORK / "site"
ENVIRONMENT = {
    "ANSIBLE_HOME": str(PACKAGE / "ansible"),
    "GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP": str(PACKAGE / "ansible" / "tmp"),
    "GALAXY_IMPORTER_CONFIG": str(COPY / "tests" / "galaxy-importer.cfg"),
    "NO_COLOR": "1",
}

# What the tarball holds. All that is tracked below WHOLE has to be in it.
WHOLE = ("meta", "plugins", "roles", "playbooks")
MAY_HOLD = {
    *WHOLE,
    *("MANIFEST.json", "FILES.json", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "TESTING.md", "COPYING"),
    ".ansible-lint",  # the importer lints with it: which modules of others docs/awx uses
    *("LICENSES", "changelogs", "docs", "inventories", "requirements.txt", "execution-environment.yml"),
}
MAY_NOT_HOLD = ("inventories/demo/", "docs/site/")
MOST_BYTES = 2 << 20  # now 0.8 MB, of which half is code

# ssh-keygen signs records, and AWX fetches projects with git.
CONTROLLER_NEEDS = ("openssh-client", "git")
# What a page would fetch by itself; a link to elsewhere is fine.
FETCHED = re.compile(r"""<(?:script|img|iframe|link rel="stylesheet")[^>]*?(?:src|href)=["']((?:https?:)?//[^"']+)""")

# What galaxy-importer may say, and why that is no fault of ours.
KNOWN_WARNINGS = {
    r"ERROR +Failed to find prosaas\.ops\.\w+ playbook\.": "docs/thin-project plays our playbooks by their full names, "
    "and ansible-lint looks for them before anything is installed; an end-to-end test runs them from the tarball",
}


def tarball_faults(names: list[str], size: int, tracked: list[str]) -> Iterator[str]:
    """Compare the names in a tarball and its size in bytes with what the collection is and with the tracked files."""
    for name in names:
        if name.split("/")[0] not in MAY_HOLD or name.startswith(MAY_NOT_HOLD):
            yield f"{name}: is in the tarball; name it in build_ignore of galaxy.yml, or in tests/lib/package.py"
    for name in sorted(set(tracked) - set(names)):
        if name.split("/")[0] in WHOLE:
            yield f"{name}: is not in the tarball; build_ignore of galaxy.yml leaves out too much"
    if size > MOST_BYTES:
        yield f"the tarball has {size} bytes, more than {MOST_BYTES}; what large file is in it?"


def importer_faults(output: str) -> Iterator[str]:
    """Yield what galaxy-importer warned of and nobody has judged, and judgements of what it no longer says."""
    said = re.findall(r"^(?:WARNING|ERROR|CRITICAL): (.*)", output, re.MULTILINE)
    for line in said:
        if not any(re.fullmatch(known, line) for known in KNOWN_WARNINGS):
            yield f"galaxy-importer: {line}"
    for known in KNOWN_WARNINGS:
        if not any(re.fullmatch(known, line) for line in said):
            yield f"galaxy-importer no longer says {known!r}: take it out of KNOWN_WARNINGS"


def environment_faults(
    meta: dict[str, Any], containerfile: str, collections: str, found: dict[str, list[str]]
) -> Iterator[str]:
    """Judge the build context of the execution environment, and what a builder finds that the collection needs."""
    if "collection install" not in containerfile or meta["repository"] not in collections:
        yield f"the image would not get {meta['repository']}"
    oldest = meta["requires_ansible"].removesuffix(".0")
    if f"ansible-core{oldest}" not in containerfile:
        yield f"the image's ansible-core is not the one of meta/runtime.yml, {oldest}"
    if found["python"]:
        yield f"a builder would install Python packages of the hosts on the controller: {', '.join(found['python'])}"
    for package in CONTROLLER_NEEDS:
        if not any(line.startswith(package) for line in found["system"]):
            yield f"a builder does not learn that the controller needs {package}; see meta/execution-environment.yml"


def page_faults(name: str, text: str) -> Iterator[str]:
    """Yield what a page of the site would fetch from elsewhere: it is to be read without a network."""
    for address in FETCHED.findall(text):
        yield f"{name}: fetches {address}"


def site_faults(html: Path) -> Iterator[str]:
    """Yield the modules, callbacks and roles that have no page, and what pages fetch from elsewhere."""
    expected = [f"reference/{path.stem}_module.html" for path in (COPY / "plugins/modules").glob("*.py")]
    expected += [f"reference/{path.stem}_callback.html" for path in (COPY / "plugins/callback").glob("*.py")]
    expected += [f"reference/{path.name}_role.html" for path in (COPY / "roles").iterdir()]
    expected += ["index.html", "docs/operations.html", "search.html"]
    for name in sorted(expected):
        if not (html / name).is_file():
            yield f"{name}: is not in the site"
    for path in sorted(html.rglob("*.html")):
        yield from page_faults(str(path.relative_to(html)), path.read_text(encoding="utf-8"))


def program(*command: str | Path, cwd: Path = PACKAGE) -> str:
    """Run a program and return what it said; a failure is told with it."""
    finished = run([str(word) for word in command], cwd=cwd, seconds=SECONDS, env=ENVIRONMENT)
    if not finished.ok:
        raise RuntimeError(f"{Path(command[0]).name} ended with code {finished.code}\n{finished.output}")
    return finished.output


def read_yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tarball() -> Path:
    return next(PACKAGE.glob("prosaas-ops-*.tar.gz"))


def build() -> Iterator[str]:
    program("ansible-galaxy", "collection", "build", "--output-path", PACKAGE, COPY)
    with tarfile.open(tarball()) as archive:
        names = [member.name for member in archive if not member.isdir()]
    yield from tarball_faults(names, tarball().stat().st_size, tracked_files())


def galaxy_import() -> Iterator[str]:
    yield from importer_faults(program(sys.executable, "-m", "galaxy_importer.main", tarball()))


def execution_environment() -> Iterator[str]:
    context = PACKAGE / "context"
    program(
        *("ansible-builder", "create", "--file", "execution-environment.yml", "--context", context),
        *("--output-filename", "Containerfile"),
        cwd=COPY,
    )
    # The programs' names are read with bindep, as in the image; it tells of those that this machine has not.
    program("bindep", "--file", COPY / "meta/ee-bindep.txt", "--list", "newline")
    found = yaml.safe_load(program("ansible-builder", "introspect", WORK))
    meta = {**read_yaml(COPY / "galaxy.yml"), **read_yaml(COPY / "meta/runtime.yml")}
    containerfile = (context / "Containerfile").read_text(encoding="utf-8")
    collections = (context / "_build/requirements.yml").read_text(encoding="utf-8")
    yield from environment_faults(meta, containerfile, collections, found)


def docs_site() -> Iterator[str]:
    program(sys.executable, "docs/site/make_site.py", SITE, cwd=COPY)
    yield from site_faults(SITE / "html")


TESTS: dict[str, Callable[[], Iterator[str]]] = {
    "galaxy-importer": galaxy_import,
    "docs site": docs_site,
    "execution environment": execution_environment,
}


def package_test(name: str, faults: Callable[[], Iterator[str]]) -> tuple[str, bool, float, str]:
    started = time.monotonic()
    try:
        found = list(faults())
    except RuntimeError as error:
        found = [str(error)]
    return name, not found, time.monotonic() - started, "\n".join(found)


def package() -> Counts:
    """Build the tarball, and then look at it and at the rest, two at a time."""
    shutil.rmtree(PACKAGE, ignore_errors=True)
    PACKAGE.mkdir(parents=True)
    counts = report(*package_test("ansible-galaxy collection build", build))
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        tests = [pool.submit(package_test, name, faults) for name, faults in TESTS.items()]
        for test in concurrent.futures.as_completed(tests):
            counts += report(*test.result())
    return counts
