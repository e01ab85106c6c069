# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to prosaas.ops: not for use by other collections, may change without notice.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  state_dir:
    description:
      - Directory on the host in which the collection keeps releases, runs, records and the lease of one application.
    type: path
    default: /var/lib/prosaas
  run:
    description:
      - Id of the run that this call belongs to, as returned by M(prosaas.ops.run).
      - The result is added to that run's journal. Empty when the module is used on its own.
    type: str
    default: ''
  runtime:
    description:
      - Virtual environment on the host that holds the Python packages of this collection.
      - The module runs again under its Python when the interpreter of the task lacks a package.
    type: path
    default: /var/lib/prosaas/runtime
  items:
    description: Lines of the deployment checklist that a check proves, by check id or pattern of ids.
    type: dict
    default: {}
  gather:
    description:
      - Return what was found without failing the task, whatever it is. M(prosaas.ops.verdict) judges it later,
        together with what other modules found, so that an operator reads all of it at once.
    type: bool
    default: false
  advisory:
    description:
      - Patterns (as in a shell, V(compose.n8n.*)) of check ids whose failure is shown but does not fail the task.
    type: list
    elements: str
    default: []
  waivers:
    description:
      - Failures that somebody has accepted for now. An expired waiver counts as absent.
    type: list
    elements: dict
    default: []
    suboptions:
      check:
        description: Check id, or a pattern of check ids.
        type: str
        required: true
      by:
        description: Who accepts it.
        type: str
        required: true
      reason:
        description: Why.
        type: str
        required: true
      until:
        description: Last day on which it holds, as V(YYYY-MM-DD).
        type: str
        required: true
  attestations:
    description:
      - Answers of people to what no machine can know. They count for checks that ask a C(question) and are V(unknown)
        otherwise, are recorded as what they are, and never make a V(pass). An expired one counts as absent.
    type: list
    elements: dict
    default: []
    suboptions:
      check:
        description: Check id, or a pattern of check ids.
        type: str
        required: true
      by:
        description: Who says so.
        type: str
        required: true
      reason:
        description: What was looked at, where and when.
        type: str
        required: true
      until:
        description: Last day on which it holds, as V(YYYY-MM-DD).
        type: str
        required: true
"""

    CHECKS = r"""
attributes:
  check_mode:
    support: full
    description: The checks only read, so check mode does the same; an unknown does not fail the task there.
  diff_mode:
    support: none
    description: Nothing is changed, so there is nothing to show.
  idempotent:
    support: full
    description: A second run changes nothing.
"""

    ACTS = r"""
attributes:
  check_mode:
    support: full
    description: Says what would be changed and changes nothing.
  diff_mode:
    support: none
    description: What would be done is in the return values.
  idempotent:
    support: full
    description: A second run changes nothing.
"""

    COMPOSE = r"""
options:
  project_dir:
    description: Directory on the host that holds the Compose files and C(.env).
    type: path
    required: true
  compose_files:
    description: Compose files in order, relative to O(project_dir).
    type: list
    elements: str
    default:
      - docker-compose.yml
      - docker-compose.prod.yml
  project:
    description: Name of the Compose project.
    type: str
    required: true
"""

    RELEASE = r"""
options:
  env_file:
    description: Name of the file with the application's variables, relative to O(project_dir).
    type: str
    default: .env
  mounted_files:
    description:
      - Files below O(project_dir) that are mounted into services and so belong to the configuration (certificates).
    type: list
    elements: str
    default: []
  remote:
    description: Git remote of the checkout in O(project_dir).
    type: str
    default: origin
"""
