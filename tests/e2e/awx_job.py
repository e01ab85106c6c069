# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as AWX runs it, without an AWX: ansible-runner and the directory that AWX would make for it.

What AWX keeps of a job is what ansible-runner writes into ``artifacts``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml
from demo_stack import DEMO, ROOT, run

AWX = ROOT / "docs/awx"


class Loader(yaml.SafeLoader):
    """Reads ``!unsafe`` as the text that it is."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(t.cast("yaml.ScalarNode", node)))


@dataclass
class Launched:
    """What became of a job: exit code, what it printed, and where everything that is kept of it lies."""

    code: int
    output: str
    artifacts: Path

    def kept(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.artifacts.rglob("*") if path.is_file())


def described(file: str, module: str, name: str) -> dict[str, t.Any]:
    """Return what docs/awx says of one object, defaults of the play included."""
    (play,) = yaml.load((AWX / "apply.yml").read_text(), Loader)  # noqa: S506
    tasks = yaml.load((AWX / "tasks" / file).read_text(), Loader)  # noqa: S506
    found = (task[f"awx.awx.{module}"] for task in tasks if f"awx.awx.{module}" in task)
    own = next(one for one in found if one["name"] == name)
    return {**play["module_defaults"].get(f"awx.awx.{module}", {}), **own}


def launch(
    directory: Path, name: str, answers: dict[str, t.Any], secrets: dict[str, str], check: bool = False
) -> Launched:
    """Launch a job template.

    Args:
        answers: to questions of its survey; the others are left as they stand.
        secrets: the fields of the credential "ProSaaS notices".
    """
    template = described("job_templates.yml", "job_template", name)
    project, env, inventory = (directory / part for part in ("project", "env", "inventory"))
    shutil.copytree(ROOT / "docs/thin-project", project, ignore=shutil.ignore_patterns("prod"))
    env.mkdir(mode=0o700)
    inventory.mkdir()
    _script(inventory / "hosts", _inventory())
    questions = {one["variable"]: one["default"] for one in template["survey_spec"]["spec"]}
    assert answers.keys() <= questions.keys()
    people = {"awx_user_name": "alice", "awx_job_id": 1, "awx_job_template_name": name}
    (env / "extravars").write_text(yaml.safe_dump({**template["extra_vars"], **people, **questions, **answers}))
    credential = env / "tmp1"
    credential.write_text(yaml.safe_dump(_injected(secrets)))
    credential.chmod(0o400)
    (env / "cmdline").write_text(f"-e @{credential}" + (" --check" if check else ""))
    variables = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "JOB_ID": "1"}
    (env / "envvars").write_text(yaml.safe_dump(variables))
    python = ROOT / ".venv/bin/python"
    done = subprocess.run(
        [python, "-m", "ansible_runner", "run", directory, "-p", template["playbook"], "--ident", "1"],
        env={**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=template["timeout"],
        check=False,
    )
    print(done.stdout[-6000:])
    return Launched(done.returncode, done.stdout, directory / "artifacts/1")


def _injected(secrets: dict[str, str]) -> dict[str, str]:
    """Fill in what the credential's type injects."""
    injected = described("basis.yml", "credential_type", "ProSaaS notices")["injectors"]["extra_vars"]
    field = re.compile(r"\{\{ (\w+) \| default\(''\) \}\}")
    return {name: field.sub(lambda match: secrets.get(match[1], ""), text) for name, text in injected.items()}


def _inventory() -> str:
    """Return the demo's inventory as AWX stores it: one document, that no longer knows where it came from."""
    argv = [ROOT / ".venv/bin/ansible-inventory", "-i", "inventories/demo", "--list", "--export"]
    found = json.loads(run(*argv, cwd=ROOT))
    found["prosaas"].setdefault("vars", {})["demo_home"] = str(DEMO)
    for variables in found["_meta"]["hostvars"].values():
        variables.pop("demo_home", None)
    return json.dumps(found)


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/usr/bin/env python3\nprint({text!r})\n")
    path.chmod(0o700)
