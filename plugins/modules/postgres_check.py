#!/usr/bin/python
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgres_check
short_description: Checks the Postgres databases of an application - reached, over TLS, with rights and room
version_added: 0.2.0
author:
  - the prosaas.ops authors (@prosaas)
description:
  - Connects with the application's own settings, read on the host by the names of their variables, side by side.
  - Everything is asked in read-only transactions (C(BEGIN READ ONLY)), each taken back. No session setting is changed
    and no lock is taken, so that nothing stays behind in a connection pooler.
  - The connections are opened from this host and, where O(services) are given, once more from inside their network, by
    a container of theirs and its driver. Both use the settings of today's O(env_file), as the next release will; with
    O(own_settings) the container is asked with those that it was started with, as its application has them.
  - With O(schemas) it also looks whether tables, columns and migrations are there. An application's own migrator is
    never asked.
  - Nothing of the user that runs this counts, such as C(PGPASSWORD) or C(~/.pgpass).
  - No password is sent without TLS, unless O(sslmodes) allows it. Whether a server takes plain connections is found
    out by asking it without a password.
extends_documentation_fragment:
  - prosaas.ops._shared
  - prosaas.ops._shared.checks
options:
  env_file:
    description: File on the host (the application's C(.env)) that holds the variables named in O(connections).
    type: path
    required: true
  connections:
    description:
      - What to connect to, by a name of yours. Every value is a variable in O(env_file), unless said otherwise.
      - C(url) is a connection URL; C(or) lists the variables that stand in for it where it is not set.
      - Instead of C(url), C(host), C(port), C(name), C(user) and C(password) are its parts, and C(ssl) the variable
        that asks for TLS when it is V(true), V(1), V(yes) or V(on). With C(verify) the certificate is verified unless
        that variable says V(false), V(0), V(no) or V(off), by the authorities in the file that C(ca) names, or the
        public ones. A file, or not to verify, asks for TLS, too.
      - C(title) is how a person calls it (a text).
      - C(migrates) says that it must have the right to change the schema (a boolean, V(false) by default), and
        C(tables) which of the tables there must be its own (patterns as in a shell, all by default).
      - C(free) is how many more connections must be possible (a number, 5 by default).
      - C(options) are startup options that the application sends (a text), which not every pooler takes.
    type: dict
    required: true
  readings:
    description: Questions whose rows are what must not be. Each is a check of its own.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Check id.
        type: str
        required: true
      title:
        description: What is being made sure of.
        type: str
        required: true
      connection:
        description: Name of the connection to ask.
        type: str
        required: true
      sql:
        description: One SELECT. It becomes part of another one, so that it cannot be anything else.
        type: str
        required: true
      missing_table:
        description: Table without which there can be no rows; that it is missing is a V(pass) that says so.
        type: str
        default: ''
      rows:
        description: Status of the check when there are rows.
        type: str
        choices: [warn, fail]
        default: fail
      line:
        description: What is said of a row, with its columns in braces, such as V(run {id}).
        type: str
        required: true
      none:
        description: What is said when there is no row.
        type: str
        required: true
      remedy:
        description: What to do when there are rows.
        type: str
        required: true
  schemas:
    description:
      - What must be there, by the name of a connection.
      - C(tables) is a dict of tables, each with a list of those of its columns that are asked for by name (it may be
        empty).
      - C(migrations) says where applied migrations are written down. C(table) and C(column) (the id of a migration) are
        needed, C(success) is a boolean column of that table. Those that the release which serves was verified with must
        be among them, and those of its commit, where C(files) are patterns of its files, each a migration of that
        name.
      - C(count) counts the rows of a C(table) and compares them with how many there were at the last look. C(id)
        becomes the last part of the check's id, C(title) says what is made sure of, C(unit) is what the rows are, in
        the plural; with C(where), a boolean column, those are told, too, as C(told).
      - C(remedy) is what to do when something is missing.
    type: dict
    default: {}
  remember:
    description:
      - Keep what is counted for the next look, in C(seen/database.json) below O(state_dir). Nothing of the application
        changes, so it is no change. Nothing is kept in check mode, nor of a look that found nothing.
    type: bool
    default: false
  project_dir:
    description: The application's git checkout, for the C(files) of C(migrations) in O(schemas).
    type: path
  sslmodes:
    description: Values of C(sslmode) that demand TLS.
    type: list
    elements: str
    default: [require, verify-ca, verify-full]
  server_least:
    description: Oldest server version that will do.
    type: str
    default: '14'
  round_trip:
    description: Milliseconds that a round trip may take, the median of a few; more is a V(warn).
    type: float
    default: 50
  timeout:
    description: Seconds that one answer may take.
    type: int
    default: 5
  ca_path:
    description:
      - File with CA certificates on this host.
      - It stands in for an C(sslrootcert) of a URL that is there in the containers only.
    type: path
  project:
    description: Name of the Compose project that O(services) belong to.
    type: str
    default: ''
  services:
    description:
      - Services to ask through from inside the network; the first one counts that runs and whose Python has psycopg2.
      - Where one does not run, a container of its built image (C(PROJECT-SERVICE)) is started for it in O(network), and
        removed. In check mode none is started.
      - Before the first build, where none of them has a container or an image, C(inside) is V(skip).
      - Empty to ask from this host alone.
    type: list
    elements: str
    default: []
  network:
    description: Docker network in which a built image is asked.
    type: str
    default: ''
  own_settings:
    description:
      - Ask a running service with the settings that it was started with, and not with today's O(env_file).
      - No container is started for it; where no service runs, C(inside) is V(unknown).
    type: bool
    default: false
  python:
    description: Python of the services.
    type: str
    default: python3
seealso:
  - name: Postgres, sslmode
    description: Which values of sslmode protect against what.
    link: https://www.postgresql.org/docs/current/libpq-ssl.html
"""

EXAMPLES = r"""
- name: The databases are ready for a deployment
  prosaas.ops.postgres_check:
    env_file: /opt/prosaasil/.env
    connections:
      pooler:
        title: The pooler
        url: DATABASE_URL_POOLER
        or: [DATABASE_URL]
        migrates: true
        free: 15
      n8n:
        title: n8n's database
        host: N8N_DB_HOST
        port: N8N_DB_PORT
        name: N8N_DB_NAME
        user: N8N_DB_USER
        password: N8N_DB_PASSWORD
        ssl: DB_POSTGRESDB_SSL_ENABLED
    project: prosaasil
    services: [prosaas-api, prosaas-calls]
    network: prosaas-net
  become: true

- name: The application reaches its database, and finds there what it reads
  prosaas.ops.postgres_check:
    env_file: /opt/shop/.env
    connections:
      shop: {title: The shop's database, url: DATABASE_URL}
    schemas:
      shop:
        tables:
          orders: [id, paid]
          customers: []
        migrations: {table: schema_migrations, column: id, success: success, files: [migrations/*.sql]}
    project: shop
    project_dir: /opt/shop
    services: [web]
    own_settings: true
  become: true

- name: Nothing runs that a restart would break
  prosaas.ops.postgres_check:
    env_file: /opt/shop/.env
    connections:
      shop: {url: DATABASE_URL}
    readings:
      - id: database.imports
        title: No import is running
        connection: shop
        sql: SELECT id, file FROM imports WHERE state = 'running'
        missing_table: imports
        line: import {id} of {file} is running
        none: no import is running
        remedy: Wait until it ends.
  become: true
"""

RETURN = r"""
checks:
  description:
    - For each of O(connections) the checks C(database.NAME.connect), C(database.NAME.tls), C(database.NAME.room),
      C(database.NAME.rights) (where it C(migrates)) and C(database.NAME.inside) (where there are O(services)); and one
      for each of O(readings). For each of O(schemas) C(database.NAME.tables), C(database.NAME.migrations) and
      C(database.NAME.ID) with the C(id) of its C(count), where they are given. Worst first.
    - A server that says no is a V(fail), one that does not answer is V(unknown), and so is everything that was to be
      asked through it.
  returned: always
  type: list
  elements: dict
  sample:
    - id: database.pooler.tls
      status: pass
      evidence: TLSv1.3 TLS_AES_256_GCM_SHA384, as sslmode=verify-full demands; the server refuses plain connections
      remedy: ''
      item: [20]
databases:
  description:
    - What was measured of each of O(connections) that answers. C(connections) and C(limit) are those of the tightest limit that it
      tells, C(size) is that of the database in bytes.
  returned: always
  type: dict
  sample: {app: {connections: 12, limit: 97, size: 84213759}}
  version_added: 0.3.0
verdict:
  description: The worst status of the checks that count, V(pass), V(warn), V(unknown) or V(fail).
  returned: always
  type: str
  sample: pass
msg:
  description: One sentence that names what failed and what to do.
  returned: always
  type: str
  sample: 9 of 9 checks passed.
"""

import typing as t
from pathlib import Path

from ansible_collections.prosaas.ops.plugins.module_utils import (
    _dotenv,
    _postgres_check,
    _postgres_judge,
    _postgres_look,
    _postgres_schema,
)
from ansible_collections.prosaas.ops.plugins.module_utils._check import Report
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError
from ansible_collections.prosaas.ops.plugins.module_utils._memory import Memory
from ansible_collections.prosaas.ops.plugins.module_utils._module import Call, run_module
from ansible_collections.prosaas.ops.plugins.module_utils._postgres import Source
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_connect import Manner
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_inside import Place

TEXT: dict[str, t.Any] = {"type": "str", "required": True}

OPTIONS: dict[str, t.Any] = {
    "env_file": {"type": "path", "required": True},
    "connections": {"type": "dict", "required": True},
    "readings": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **dict.fromkeys(("id", "title", "connection", "sql", "line", "none", "remedy"), TEXT),
            "missing_table": {"type": "str", "default": ""},
            "rows": {"type": "str", "choices": ["warn", "fail"], "default": "fail"},
        },
    },
    "schemas": {"type": "dict", "default": {}},
    "remember": {"type": "bool", "default": False},
    "project_dir": {"type": "path"},
    "sslmodes": {"type": "list", "elements": "str", "default": ["require", "verify-ca", "verify-full"]},
    "server_least": {"type": "str", "default": "14"},
    "round_trip": {"type": "float", "default": 50},
    "timeout": {"type": "int", "default": 5},
    "ca_path": {"type": "path"},
    "project": {"type": "str", "default": ""},
    "services": {"type": "list", "elements": "str", "default": []},
    "network": {"type": "str", "default": ""},
    "own_settings": {"type": "bool", "default": False},
    "python": {"type": "str", "default": "python3"},
}


def look(call: Call) -> Report:
    params = call.params
    schemas = _schemas(call)
    report = _postgres_check.inspect(
        sources=[Source.of(name, given) for name, given in params["connections"].items()],
        readings=[_postgres_look.Reading(**given) for given in params["readings"]],
        values=_dotenv.values(Path(params["env_file"])),
        place=Place(
            params["project"],
            params["services"],
            params["network"],
            params["python"],
            start=not call.check_mode,
            own=params["own_settings"],
        ),
        execute=call.execute,
        want=_postgres_judge.Want(
            Manner(params["sslmodes"], params["timeout"], params["ca_path"] or ""),
            params["server_least"],
            params["round_trip"],
        ),
        schemas=schemas,
    )
    if schemas.memory and params["remember"] and not call.check_mode:
        schemas.memory.keep()
    return report


def _schemas(call: Call) -> _postgres_check.Schemas:
    params = call.params
    wishes = {name: _postgres_schema.Wish.of(name, given) for name, given in params["schemas"].items()}
    unknown = sorted(wishes.keys() - params["connections"].keys())
    if unknown:
        raise OpsError(f"Schema {unknown[0]} is of no connection.", "Name it as one of the connections.")
    directory = Path(params["project_dir"]) if params["project_dir"] else None
    known = {
        name: _postgres_schema.known(call.state_dir, directory, wish.migrations, call.execute)
        for name, wish in wishes.items()
        if wish.migrations
    }
    counts = any(wish.count for wish in wishes.values())
    return _postgres_check.Schemas(wishes, known, Memory(call.state_dir, "database") if counts else None)


def main() -> None:
    run_module(OPTIONS, look, needs=("docker", "psycopg2"))


if __name__ == "__main__":
    main()
