# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the docs site: python docs/site/make_site.py TARGET makes TARGET/html/index.html; needs no network.

The Markdown pages are written for a git host, with links from file to file. They are laid out in the same order beside
the pages that antsibull-docs makes from the documentation of modules and roles, so that every link works here, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COLLECTION = "prosaas.ops"

PAGES = ("*.md", "docs/*.md", "docs/*/*.md", "roles/*/README.md", "demo/*.md", "demo/cloud/*.md")
LINK = re.compile(r"\]\(([^)#\s]+)")


def pages() -> list[Path]:
    """Return the Markdown pages, relative to the root of the collection."""
    return sorted(path.relative_to(ROOT) for pattern in PAGES for path in ROOT.glob(pattern) if path.parent != HERE)


def linked_files(page: Path, text: str) -> Iterator[Path]:
    """Yield the files that a page links to and that exist, relative to the root; Sphinx tells of the others."""
    for link in LINK.findall(text):
        path = (ROOT / page.parent / link).resolve()
        if "://" not in link and path.is_file() and path.is_relative_to(ROOT):
            yield path.relative_to(ROOT)


def staged(page: Path, text: str) -> tuple[Path, str]:
    """Return where a page goes and what it says there: the README leads to all, a role's README to its options."""
    if page == Path("README.md"):
        return Path("index.md"), text + (HERE / "contents.md").read_text(encoding="utf-8")
    if page.parts[0] == "roles":
        role = page.parts[1]
        return page, f"{text}\n[Every option of the role {role}](../../reference/{role}_role.rst)\n"
    return page, text


def lay_out(source: Path) -> None:
    """Fill the folder that Sphinx reads with the pages and what they link to."""
    for page in pages():
        text = (ROOT / page).read_text(encoding="utf-8")
        name, said = staged(page, text)
        write(source / name, said)
        for file in linked_files(page, text):
            if not (source / file).exists() and file.suffix != ".md":
                (source / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / file, source / file)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def collections_path() -> Path:
    """Return the folder under which this tree is a collection: its own links, or where it has been copied to."""
    links = ROOT / ".collections"
    return links if links.is_dir() else ROOT.parents[2]


def make_site(target: Path) -> int:
    """Build the site below the target; return the exit code of the first program that failed, or 0."""
    source, reference, html = target / "source", target / "source" / "reference", target / "html"
    for folder in (source, html, target / "doctrees"):
        shutil.rmtree(folder, ignore_errors=True)
    lay_out(source)
    reference.mkdir(mode=0o700)  # antsibull-docs wants it to itself
    programs = Path(sys.executable).parent
    # The pages do not depend on the settings of whoever builds them, and nothing is looked for in their home.
    settings = target / "ansible.cfg"
    write(settings, "")
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_CONFIG": str(settings),
        "ANSIBLE_HOME": str(target / "ansible"),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    antsibull = [
        *("antsibull-docs", "--config-file", str(HERE / "antsibull-docs.cfg"), "collection", "--use-current"),
        *("--squash-hierarchy", "--fail-on-error", "--no-add-antsibull-docs-version"),
        *("--dest-dir", str(reference), COLLECTION),
    ]
    sphinx = [
        *("sphinx-build", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet", "--jobs", "auto"),
        *("--conf-dir", str(HERE), "--doctree-dir", str(target / "doctrees"), str(source), str(html)),
    ]
    for command in (antsibull, sphinx):
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if code:
            return code
    print(f"Open {html / 'index.html'}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/site/make_site.py TARGET")
    sys.exit(make_site(Path(sys.argv[1]).resolve()))
