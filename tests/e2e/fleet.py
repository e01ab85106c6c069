# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts with engines of their own, and an application of three services that is nobody's but these tests'."""

from __future__ import annotations

import json
import subprocess
import typing as t
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from host_engine import SMALL, Host, host, small_image

NAMES = ("canary", "second", "third")
PROJECT_DIR = "/opt/tiny"
CHECK = {"interval": "1s", "timeout": "2s", "retries": 3}
_ALIVE = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=1)"

COMPOSE: dict[str, t.Any] = {
    "services": {
        "web": {
            "build": ".",
            "command": ["python3", "-u", "/app/web.py"],
            "init": True,
            "env_file": ".env",
            "restart": "unless-stopped",
            "healthcheck": {"test": ["CMD", "python3", "-c", _ALIVE], **CHECK},
        },
        "redis": {
            "image": SMALL,
            "command": ["redis-server", "--save", ""],
            "restart": "unless-stopped",
            "healthcheck": {"test": ["CMD", "redis-cli", "ping"], **CHECK},
        },
        "nginx": {
            "build": {"context": ".", "dockerfile": "Dockerfile.nginx"},
            "command": ["nginx", "-g", "daemon off;"],
            "restart": "unless-stopped",
            "ports": ["80:80"],
            "depends_on": {"web": {"condition": "service_healthy"}},
        },
    }
}
WEB = """
import http.server
VERSION = "{version}"
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = VERSION.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("", 8000), Web).serve_forever()
"""
NEVER = "import time\nprint('waiting for nothing')\ntime.sleep(1e6)\n"
NGINX = """
events {}
http {
    access_log /dev/stdout;
    error_log /dev/stderr warn;
    server { listen 80 default_server; location / { proxy_pass http://web:8000; } }
}
"""

# The roles' policy for this application: data alone.
POLICY: dict[str, t.Any] = {
    "prosaas_project": "tiny",
    "prosaas_project_dir": PROJECT_DIR,
    "prosaas_compose_files": ["docker-compose.yml"],
    "prosaas_mounted_files": [],
    "prosaas_state_dir": "/var/lib/prosaas",
    "prosaas_network": "tiny-net",
    "prosaas_operator": "fleet",
    "prosaas_schema": {},
    "prosaas_backup_databases": {},
    "prosaas_backup_volumes": [],
    "deploy_services": {"web": {"beside": True, "port": 8000, "drain": 5}},
    "deploy_calls": {},
    "deploy_campaigns": {},
    "deploy_start_deadline": 12,
    "deploy_start_window": 1,
    "deploy_watch_window": 3,
    "verify_services": {},
    "verify_endpoints": [
        {"id": "endpoint.web", "title": "The page is served", "url": "http://127.0.0.1/", "any_of": [{"status": [200]}]}
    ],
    "verify_endpoints_pages": [],
    "verify_logs_rules": {},
    "verify_database_connections": {},
    "verify_database_schemas": {},
    **dict.fromkeys(["verify_background_queues", "verify_background_scheduler", "verify_background_sessions"], {}),
    "verify_capacity_set_key": "",
    "verify_webhook_url": "",
    "verify_health_window": 1,
    "verify_health_deadline": 30,
    "verify_endpoints_deadline": 10,
}


class Origin:
    """The repository of the application, on this machine; hosts have a copy of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        files = {
            "docker-compose.yml": json.dumps(COMPOSE, indent=1),
            "Dockerfile": f"FROM {SMALL}\nLABEL ops.prosaas.demo=true\nCOPY web.py /app/web.py\n",
            "Dockerfile.nginx": f"FROM {SMALL}\nLABEL ops.prosaas.demo=true\nCOPY nginx.conf /etc/nginx/nginx.conf\n",
            "nginx.conf": NGINX,
            ".gitignore": ".env\n",
            ".env": "MODE=test\n",
        }
        for name, content in files.items():
            (directory / name).write_text(content)
        self.commits = {
            "good": self.commit(WEB.replace("{version}", "good")),
            "better": self.commit(WEB.replace("{version}", "better")),
            "bad": self.commit(NEVER),
        }

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.test"]
        argv = ["git", "-C", str(self.directory), *identity, *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, web: str) -> str:
        (self.directory / "web.py").write_text(web)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")
        return self.git("rev-parse", "HEAD")


class Fleet:
    """The hosts by name, and an inventory of them in that order."""

    def __init__(self, hosts: dict[str, Host], origin: Origin, scratch: Path) -> None:
        self.hosts, self.origin, self.scratch = hosts, origin, scratch

    def inventory(self, unreachable: str = "") -> Path:
        hosts = {name: one.ssh() for name, one in self.hosts.items()}
        if unreachable:
            hosts[unreachable] |= {"ansible_host": "127.0.0.1", "ansible_port": 1}
        variables = {**POLICY, "prosaas_records_dir": str(self.scratch / "records")}
        path = self.scratch / f"fleet{unreachable}.json"
        path.write_text(json.dumps({"prosaas": {"hosts": hosts, "vars": variables}}))
        return path

    def records(self, name: str) -> list[dict[str, t.Any]]:
        """Return the records of a host, the newest last."""
        paths = sorted((self.scratch / "records" / name).glob("2*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text()) for path in paths]

    def served(self, name: str) -> str:
        code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1/', timeout=5).read().decode())"
        return self.hosts[name].inside("python3", "-c", code).strip()


@contextmanager
def fleet(scratch: Path, names: Sequence[str] = NAMES, disk: str = "") -> Iterator[Fleet]:
    """Start the hosts, side by side; the application's checkout is on each, nothing of it runs."""
    origin = Origin(scratch / "tiny")
    archive = small_image(scratch)
    with ExitStack() as stack:
        hosts = {name: stack.enter_context(host(f"prosaas-demo-{name}", scratch, disk=disk)) for name in names}

        def prepare(one: Host) -> None:
            one.load(archive)
            one.copy(origin.directory, "/srv/tiny")
            one.inside("chown", "-R", "root:root", "/srv/tiny")
            one.inside("git", "clone", "-q", "/srv/tiny", PROJECT_DIR)
            one.inside("cp", "/srv/tiny/.env", f"{PROJECT_DIR}/.env")

        with ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(prepare, hosts.values()))
        yield Fleet(hosts, origin, scratch)
