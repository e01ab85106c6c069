# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Postgres server of a test's own, as a provider runs it: TLS and passwords for everyone."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import subprocess
import time
import typing as t
from collections.abc import Iterator

import psycopg2
from ansible_collections.prosaas.ops.plugins.module_utils import _dump, _pg_restore
from ansible_collections.prosaas.ops.plugins.module_utils._pg_counts import Counts
from ansible_collections.prosaas.ops.plugins.module_utils._pg_tools import Tools
from ansible_collections.prosaas.ops.plugins.module_utils._postgres import Source, Target
from ansible_collections.prosaas.ops.plugins.module_utils._postgres_connect import Manner
from tiny import IMAGE, LABELS

PASSWORD = "Corr3ctHorse_B4tteryStaple"
HOW = Manner()
HOST, INSIDE = Tools("host"), Tools("image", IMAGE)
DRILL = f"drill-{os.getpid()}"
FIRST, SECOND = "20261122T210501Z", "20261122T210502Z-restore-5f1e"

Dumped = tuple[bytes, dict[str, t.Any], Counts]

# A user who is no superuser makes all of it.
SHOP = r"""
CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_trgm; CREATE EXTENSION "uuid-ossp";
CREATE TYPE mood AS ENUM ('cold', 'warm');
CREATE DOMAIN phone AS text CHECK (VALUE ~ '^\+');
CREATE TABLE business (id bigserial PRIMARY KEY, name text UNIQUE, key uuid DEFAULT uuid_generate_v4(), secret bytea);
CREATE TABLE leads (id serial PRIMARY KEY, business bigint NOT NULL REFERENCES business, mood mood DEFAULT 'cold',
                    phone phone, note text);
CREATE TABLE "Odd.Name" ("a b" int GENERATED ALWAYS AS IDENTITY, t timestamptz) PARTITION BY RANGE (t);
CREATE TABLE "odd_2026" PARTITION OF "Odd.Name" FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON business USING gin (name gin_trgm_ops);
CREATE INDEX ON leads (business) WHERE mood = 'warm';
CREATE VIEW warm AS SELECT l.id, b.name FROM leads l JOIN business b ON b.id = l.business WHERE mood = 'warm';
CREATE MATERIALIZED VIEW totals AS SELECT business, count(*) FROM leads GROUP BY 1;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note || '!'; RETURN NEW; END $$;
INSERT INTO business (name, secret) SELECT 'n' || g, digest(g::text, 'sha256') FROM generate_series(1, 50) g;
INSERT INTO leads (business, phone, note) SELECT 1 + g % 50, '+1', E'line\nnext\t\\.' FROM generate_series(1, 2000) g;
CREATE TRIGGER stamped BEFORE INSERT ON leads FOR EACH ROW EXECUTE FUNCTION stamp();
INSERT INTO "Odd.Name" (t) SELECT '2026-02-03' FROM generate_series(1, 7);
ALTER TABLE leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY theirs ON leads TO reader USING (mood = 'warm');
GRANT SELECT ON leads TO reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;
COMMENT ON SCHEMA public IS 'the shop';
COMMENT ON COLUMN leads.note IS 'what was said';
"""
# What a database looks like, without what may differ: object ids.
LOOK = """
SELECT 'class', n.nspname, relname, relkind::text, pg_get_userbyid(relowner), relacl::text, relrowsecurity::text,
       obj_description(c.oid, 'pg_class') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE nspname !~ '^(pg_|information)'
UNION ALL SELECT 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull::text, attidentity::text,
       pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum JOIN pg_class c ON c.oid = attrelid
  JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^(pg_|information)' AND attnum > 0
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', '', '' FROM pg_constraint
UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), '', '', '', '', '' FROM pg_index
 WHERE indexrelid::regclass::text !~ '^pg_'
UNION ALL SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid), '', '', '', '', '' FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', n.nspname, proname, md5(prosrc), pg_get_userbyid(proowner), proacl::text, '', ''
  FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname !~ '^(pg_|information)'
UNION ALL SELECT 'view', schemaname, viewname, definition, '', '', '', '' FROM pg_views WHERE schemaname !~ '^(pg_|information)'
UNION ALL SELECT 'enum', enumtypid::regtype::text, enumlabel, '', '', '', '', '' FROM pg_enum
UNION ALL SELECT 'policy', schemaname, tablename, policyname, roles::text, cmd, qual, '' FROM pg_policies
UNION ALL SELECT 'default', n.nspname, defaclacl::text, '', '', '', '', '' FROM pg_default_acl JOIN pg_namespace n ON n.oid = defaclnamespace
UNION ALL SELECT 'extension', extname, n.nspname, '', '', '', '', '' FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
UNION ALL SELECT 'schema', nspname, pg_get_userbyid(nspowner), (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(nspacl) a),
       obj_description(oid, 'pg_namespace'), '', '', '' FROM pg_namespace WHERE nspname !~ '^(pg_|information)'
ORDER BY 1, 2, 3, 4
"""

_START = r"""
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
cd /var/lib/postgresql
if [ ! -d data ]; then
  "$bin/initdb" -D data -E UTF8 --locale C.UTF-8 -A trust --no-sync >/dev/null
  printf 'local all all trust\nhostssl all all all scram-sha-256\n' >data/pg_hba.conf
  openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=opstest -days 2 -keyout data/server.key -out data/server.crt 2>/dev/null
  chmod 600 data/server.key
fi
exec "$bin/postgres" -D data -c listen_addresses='*' -c ssl=on -c fsync=off -c unix_socket_directories=/var/lib/postgresql
"""


class Server:
    """A running server, asked by its superuser inside, and by users over the network."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name)

    def psql(self, sql: str, database: str = "postgres", user: str = "postgres") -> str:
        """Run SQL inside; return what it prints, unaligned."""
        argv = ["docker", "exec", "-i", "-u", "postgres", self.name, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1"]
        argv += ["-h", "/var/lib/postgresql", "-U", user, "-d", database]
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def target(self, database: str, user: str = "shop", password: str = PASSWORD) -> Target:
        url = f"postgresql://{user}:{password}@{self.address}/{database}?sslmode=require"
        return Source.of("main", {"url": "URL"}).target({"URL": url})

    def connect(self, database: str, user: str = "shop") -> t.Any:
        return psycopg2.connect(host=self.address, dbname=database, user=user, password=PASSWORD, sslmode="require")

    def database(self, name: str, sql: str = "", owner: str = "shop") -> str:
        """Make a database anew, owned by a user who is no superuser, and fill it as that one."""
        self.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.psql(f"CREATE DATABASE {name} OWNER {owner}")
        if sql:
            self.psql(sql, name, owner)
        return name


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Start one with the roles shop (may make databases) and reader; nothing of it stays."""
    name = f"opstest-postgres-{secrets.token_hex(4)}"
    labels = [f"--label={key}={value}" for key, value in LABELS.items()]
    try:
        docker("run", "-d", "--name", name, *labels, "--user", "postgres", "-v", "/var/lib/postgresql", "--shm-size=128m",
               "--entrypoint", "sh", IMAGE, "-c", _START)  # fmt: skip
        running = Server(name)
        deadline = time.monotonic() + 30
        while True:
            try:
                running.psql(
                    f"ALTER ROLE postgres PASSWORD '{PASSWORD}'; CREATE ROLE reader LOGIN; "
                    f"CREATE ROLE shop LOGIN CREATEDB PASSWORD '{PASSWORD}'"
                )
                break
            except AssertionError:
                assert time.monotonic() < deadline, docker("logs", name)
                time.sleep(0.2)
        yield running
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)


def take(server: Server, database: str, tools: Tools = HOST, **more: t.Any) -> Dumped:
    with _dump.dumping(server.target(database), tools, HOW, **more) as dump:
        archive = dump.stream.read()
        dump.finish()
    assert dump.counts is not None
    return archive, dump.facts, dump.counts


def bring(
    server: Server, database: str, archive: bytes, facts: dict[str, t.Any], restore_id: str = FIRST, **more: t.Any
) -> t.Any:
    return _pg_restore.restore(
        server.target(database), more.pop("tools", HOST), HOW, io.BytesIO(archive), facts, restore_id, **more
    )


def state(server: Server, database: str) -> tuple[str, Counts]:
    schemas = server.psql("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information)'", database).split()
    return server.psql(LOOK, database), _pg_restore.counts(server.target(database, "postgres"), HOW, schemas)


def nothing_left() -> list[str]:
    """Return containers of this process, and of its drills, that still are."""
    labels = (f"ops.prosaas.postgres={os.getpid()}", f"ops.prosaas.drill={DRILL}")
    return [each for label in labels for each in docker("ps", "-aq", "--filter", f"label={label}").split()]
