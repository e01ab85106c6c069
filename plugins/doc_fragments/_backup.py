# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to prosaas.ops: not for use by other collections, may change without notice.

from __future__ import annotations


class ModuleDocFragment:
    SHELF = r"""
options:
  backup_dir:
    description: Directory on the host that holds the backups, one directory each.
    type: path
    required: true
"""

    PROGRAMS = r"""
options:
  programs:
    description:
      - Where C(pg_dump), C(pg_restore) and C(psql) come from. They must not be older than the server.
      - V(auto) takes this host's where they fit, and those of O(programs_image) elsewhere.
    type: str
    choices: [auto, host, image]
    default: auto
  programs_image:
    description: An image that has them, as in V(postgres:17), by its name on the engine. It is never pulled.
    type: str
    default: ''
  programs_network:
    description: Network that the image's container joins; the host's own when empty.
    type: str
    default: ''
"""

    DATABASES = r"""
options:
  databases:
    description:
      - Databases by name, each with the variables of O(env_file) that lead to it, as in
        O(prosaas.ops.postgres_check#module:connections), and with V(schemas) (default C([public])), V(required) (default
        V(true)) and V(counts) (default V(true)).
      - C(pg_dump) makes a dump in the custom format, of one moment, in a transaction that cannot write; the rows of every
        table at that moment are counted into the manifest.
      - It must lead past a pooler.
    type: dict
    default: {}
  sslmodes:
    description: Values of C(sslmode) that are taken as they are; any other becomes V(require).
    type: list
    elements: str
    default: [require, verify-ca, verify-full]
  ca_path:
    description: CA certificate for databases and buckets, in PEM, besides the public ones.
    type: path
    default: ''
"""

    KEYS = r"""
options:
  keys:
    description:
      - Keys without which a volume is worth nothing. Each is compared with the variable that is kept beside the volume.
    type: list
    elements: dict
    default: []
    suboptions:
      volume:
        description: Name of the volume in the Compose model.
        type: str
        required: true
      file:
        description: JSON file in it.
        type: str
        required: true
      field:
        description: Field of that file that holds the key.
        type: str
        required: true
      variable:
        description: Variable with the same key.
        type: str
        required: true
"""
