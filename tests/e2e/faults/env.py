# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the environment file, and of what stands between it and the containers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from demo_stack import PROJECT

from . import Fault, both, edited

FILE = PROJECT / ".env"
COMPOSE_FILE = PROJECT / "docker-compose.prod.yml"
PLACEHOLDER = "your-value-here"  # of what the application does not read nothing else fails

# A value of the wrong kind for every variable of the role's schema; empty is one, too.
WRONG = {
    "PRODUCTION": "true",
    "FLASK_ENV": "development",
    "SECRET_KEY": "abcdefghij" * 4,
    "COOKIE_SECURE": "yes",
    "SAMESITE": PLACEHOLDER,
    "INTERNAL_SECRET": "fifteen-letters",
    "PUBLIC_BASE_URL": "http://prosaas.test",
    "PUBLIC_HOST": "https://prosaas.test/app",
    "DATABASE_URL": "postgresql://prosaas:p@db.prosaas.test:5432/prosaas",
    "DATABASE_URL_POOLER": "sqlite:///prosaas.db",
    "DATABASE_URL_DIRECT": "postgresql://db.prosaas.test:5432/prosaas?sslmode=require",
    "REDIS_URL": PLACEHOLDER,
    "TWILIO_ACCOUNT_SID": "SK0123",
    "TWILIO_AUTH_TOKEN": "0" * 32,
    "TWILIO_PHONE_NUMBER": "+1234567890",
    "VALIDATE_TWILIO_SIGNATURE": PLACEHOLDER,
    "OPENAI_API_KEY": "pk-0123456789abcdefghij",
    "USE_REALTIME_API": PLACEHOLDER,
    "DISABLE_GOOGLE": "false",
    "ATTACHMENT_STORAGE_DRIVER": "local",
    "ATTACHMENT_SECRET": "CHANGE_ME_TO_RANDOM_SECRET_KEY_IN_PRODUCTION",
    "R2_ACCOUNT_ID": "prosaas",
    "R2_BUCKET_NAME": "Prosaas_Attachments",
    "R2_ACCESS_KEY_ID": "short",
    "R2_SECRET_ACCESS_KEY": "short",
    "R2_ENDPOINT": "https://r2.elsewhere.test",
    "N8N_ENCRYPTION_KEY": "generate-a-random-32-char-string",
    "N8N_JWT_SECRET": "",
    "N8N_HOST": "https://n8n.prosaas.test",
    "N8N_PROTOCOL": "http",
    "N8N_EDITOR_BASE_URL": "n8n.prosaas.test",
    "N8N_WEBHOOK_URL": "http://n8n.prosaas.test",
    "N8N_DB_HOST": "db.prosaas.test:5432",
    "N8N_DB_PORT": "65536",
    "N8N_DB_NAME": "",
    "N8N_DB_USER": "your-db-user",
    "N8N_DB_PASSWORD": "letmein",
    "N8N_DB_TYPE": "sqlite",
    "N8N_DB_SSL": PLACEHOLDER,
    "BAILEYS_BASE_URL": "http://127.0.0.1:3300",
    "WHATSAPP_WEBHOOK_SECRET": PLACEHOLDER,
    "BAILEYS_WEBHOOK_SECRET": "short",
    "MAX_ACTIVE_CALLS": "fifteen",
    "MAX_CONCURRENT_CALLS": "0",
    "CALLS_OVER_CAPACITY_BEHAVIOR": PLACEHOLDER,
    "CALLS_CAPACITY_LOG_LEVEL": PLACEHOLDER,
    "SENDGRID_API_KEY": "SG_0123456789abcdefghij",
    "MAIL_FROM_EMAIL": "noreply",
    "ENCRYPTION_KEY": "0123456789abcdef",
    "GOOGLE_CLIENT_ID": "123456789012",
    "GOOGLE_CLIENT_SECRET": "short",
    "GOOGLE_APPLICATION_CREDENTIALS": PLACEHOLDER,
    "RUN_MIGRATIONS_ON_START": PLACEHOLDER,
    "SERVICE_ROLE": PLACEHOLDER,
}

# Each for itself looks right.
CONTRADICTING = {
    "COOKIE_SECURE": "False",
    "PUBLIC_HOST": "https://www.prosaas.test",
    "N8N_HOST": "n8n.elsewhere.test",
    "R2_ENDPOINT": "https://00000000000000000000000000000000.r2.cloudflarestorage.test",
    "DATABASE_URL_DIRECT": "${DATABASE_URL_POOLER}",
    "MAX_ACTIVE_CALLS": "60",
    "INTERNAL_SECRET": "${SECRET_KEY}",
}
RULES = ("production", "public_host", "n8n_domain", "n8n_urls", "r2_endpoint", "database_direct", "calls_limits")
# A name that is set twice, one that is misspelt, a forgotten placeholder, and a $ that eats half of a password.
CARELESS = "\nTZ=UTC\nN8N_DB_USRE=n8n\nPOSTGRES_PASSWORD=your_secure_password_here\nDB_PASSWORD=ab$cd\n"


def with_values(text: str, values: Mapping[str, str]) -> str:
    """Return the file with these values instead of its own."""
    kept = [line for line in text.splitlines() if line.partition("=")[0] not in values]
    return "\n".join([*kept, *(f"{name}={value}" for name, value in values.items())]) + "\n"


def careless(text: str) -> str:
    return with_values(text.replace("\nN8N_DB_USER=", "\n# "), CONTRADICTING) + CARELESS


@contextlib.contextmanager
def readable_by_all(path: Path) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(0o644)
    try:
        yield
    finally:
        path.chmod(before)


def set_in_the_compose_file(text: str) -> str:
    place = "x-storage-environment: &storage-environment\n"
    assert text.count(place) == 1
    return text.replace(place, f'{place}  MAX_ACTIVE_CALLS: "5"\n')


def failing(*names: str) -> dict[str, str]:
    return {f"env.{name}": "fail" for name in names}


FAULTS = [
    Fault(
        "Every variable has a value of the wrong kind",
        lambda: edited(FILE, lambda text: with_values(text, WRONG)),
        failing(*(name.lower() for name in WRONG)),
    ),
    Fault(
        "The environment file was edited carelessly, and everybody can read it",
        lambda: both(lambda: edited(FILE, careless), lambda: readable_by_all(FILE)),
        {
            **failing(*(f"rule.{name}" for name in (*RULES, "secrets_differ"))),
            **failing("file", "syntax", "duplicates", "placeholders", "unknown"),
            "env.running": "warn",
        },
    ),
    Fault(
        "Somebody set a variable in a Compose file, too",
        lambda: edited(COMPOSE_FILE, set_in_the_compose_file),
        failing("overrides", "running"),
    ),
    Fault(
        "A Compose file is not understood any more",
        lambda: edited(COMPOSE_FILE, lambda text: text + "services:\n"),
        {"env.overrides": "unknown", "env.running": "unknown"},
    ),
]
