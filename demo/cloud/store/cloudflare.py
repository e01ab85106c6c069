# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of Cloudflare's REST API that concern one R2 bucket, with its envelope and its error codes."""

from __future__ import annotations

import hmac
import json
from typing import Any, Callable

from bucket import Store
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

BUCKETS = "/client/v4/accounts/<account>/r2/buckets"
ROUTES = Map(
    [
        Rule("/client/v4/user/tokens/verify", endpoint="verify", methods=["GET"]),
        Rule(BUCKETS, endpoint="list_buckets", methods=["GET"]),
        Rule(BUCKETS + "/<bucket>", endpoint="get_bucket", methods=["GET"]),
        *[
            Rule(f"{BUCKETS}/<bucket>/{path}", endpoint=f"{verb}_{name}", methods=[verb.upper()])
            for path, name, verbs in (
                ("lock", "lock", ("get", "put")),
                ("lifecycle", "lifecycle", ("get", "put")),
                ("cors", "cors", ("get", "put", "delete")),
                ("domains/managed", "managed_domain", ("get", "put")),
                ("domains/custom", "custom_domains", ("get", "post")),
                ("domains/custom/<domain>", "custom_domain", ("get", "put", "delete")),
            )
            for verb in verbs
        ],
    ]
)
BUCKET_ID = "8d1c6f0e2b7a4f93a5c4e1d09b36f728"


class ApiError(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def envelope(result: Any, status: int = 200, error: ApiError | None = None) -> Response:
    errors = [{"code": error.code, "message": error.message}] if error else []
    body = {"success": error is None, "errors": errors, "messages": [], "result": result}
    return Response(json.dumps(body), status, content_type="application/json")


def cors_to_rest(rule: Any) -> dict[str, Any]:
    """moto's rule in the words of the REST API; what was not given is left out."""
    allowed = {"methods": rule.allowed_methods, "origins": rule.allowed_origins, "headers": rule.allowed_headers}
    shown = {
        "id": rule.id_,
        "allowed": {name: value for name, value in allowed.items() if value},
        "exposeHeaders": rule.exposed_headers,
        "maxAgeSeconds": rule.max_age_seconds and int(rule.max_age_seconds),
    }
    return {name: value for name, value in shown.items() if value}


def cors_from_rest(rule: dict[str, Any]) -> dict[str, Any]:
    allowed = rule["allowed"]
    given = {
        "ID": rule.get("id"),
        "AllowedMethod": allowed["methods"],
        "AllowedOrigin": allowed["origins"],
        "AllowedHeader": allowed.get("headers"),
        "ExposeHeader": rule.get("exposeHeaders"),
        "MaxAgeSeconds": str(rule["maxAgeSeconds"]) if "maxAgeSeconds" in rule else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def is_lock_rule(rule: Any) -> bool:
    if not isinstance(rule, dict) or not rule.get("id") or not isinstance(rule.get("enabled"), bool):
        return False
    condition = rule.get("condition", {})
    needed = {"Age": "maxAgeSeconds", "Date": "date", "Indefinite": "type"}.get(condition.get("type"))
    return needed in condition


class Api:
    def __init__(self, account: str, token: str, public_host: str, store: Store) -> None:
        self.account, self.token, self.public_host, self.store = account, token, public_host, store

    def public_hosts(self) -> set[str]:
        """The host names at which anyone may read the bucket's objects now."""
        custom = {domain["domain"] for domain in self.store.settings["custom_domains"].values() if domain["enabled"]}
        return custom | ({self.public_host} if self.store.settings["public"] else set())

    def __call__(self, request: Request, faults: set[str]) -> Response:
        try:
            self._check_token(request, faults)
            endpoint, place = ROUTES.bind_to_environ(request.environ).match()
            values = self._within_account(dict(place))
            handler: Callable[..., Any] = getattr(self, "_" + endpoint)
            with self.store.lock:
                return envelope(handler(request, **values))
        except ApiError as error:
            return envelope(None, error.status, error)
        except (BadRequest, KeyError, TypeError, ValueError):
            return envelope(None, 400, ApiError(400, 10040, "The JSON you provided was not well formed."))
        except HTTPException:
            message = f"Could not route to {request.path}, perhaps your object identifier is invalid?"
            return envelope(None, 404, ApiError(404, 7003, message))

    def _check_token(self, request: Request, faults: set[str]) -> None:
        scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        if not token:
            raise ApiError(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        if scheme != "Bearer":
            raise ApiError(400, 6003, "Invalid request headers")
        may_not = "token-denied" in faults or ("token-read-only" in faults and request.method != "GET")
        if may_not or not hmac.compare_digest(token, self.token):
            raise ApiError(403, 10000, "Authentication error")

    def _within_account(self, values: dict[str, str]) -> dict[str, str]:
        if values.pop("account", self.account) != self.account:
            raise ApiError(403, 10000, "Authentication error")
        if values.pop("bucket", self.store.name) != self.store.name:
            raise ApiError(404, 10006, "The specified bucket does not exist.")
        return values

    def _change(self, **settings: Any) -> dict[str, Any]:
        self.store.settings.update(settings)
        self.store.changed.set()
        return {}

    def _verify(self, _request: Request) -> dict[str, Any]:
        return {"id": BUCKET_ID[::-1], "status": "active"}

    def _list_buckets(self, request: Request) -> dict[str, Any]:
        return {"buckets": [self._get_bucket(request)]}

    def _get_bucket(self, _request: Request) -> dict[str, Any]:
        return {
            "name": self.store.name,
            "creation_date": self.store.bucket.creation_date.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "jurisdiction": "default",
            "location": "weur",
            "storage_class": "Standard",
        }

    def _get_lock(self, _request: Request) -> dict[str, Any]:
        return {"rules": self.store.settings["lock"]}

    def _put_lock(self, request: Request) -> dict[str, Any]:
        rules = request.get_json().get("rules", [])
        if not all(is_lock_rule(rule) for rule in rules):
            raise ValueError("rules")
        return self._change(lock=rules)

    def _get_lifecycle(self, _request: Request) -> dict[str, Any]:
        return {"rules": self.store.settings["lifecycle"]}

    def _put_lifecycle(self, request: Request) -> dict[str, Any]:
        return self._change(lifecycle=list(request.get_json().get("rules", [])))

    def _get_cors(self, _request: Request) -> dict[str, Any]:
        if not self.store.bucket.cors:
            raise ApiError(404, 10059, "The CORS configuration does not exist.")
        return {"rules": [cors_to_rest(rule) for rule in self.store.bucket.cors]}

    def _put_cors(self, request: Request) -> dict[str, Any]:
        self.store.bucket.set_cors([cors_from_rest(rule) for rule in request.get_json()["rules"]])
        return self._change()

    def _delete_cors(self, _request: Request) -> dict[str, Any]:
        self.store.bucket.delete_cors()
        return self._change()

    def _get_managed_domain(self, _request: Request) -> dict[str, Any]:
        return {"bucketId": BUCKET_ID, "domain": self.public_host, "enabled": self.store.settings["public"]}

    def _put_managed_domain(self, request: Request) -> dict[str, Any]:
        self._change(public=bool(request.get_json()["enabled"]))
        return self._get_managed_domain(request)

    def _get_custom_domains(self, _request: Request) -> dict[str, Any]:
        return {"domains": list(self.store.settings["custom_domains"].values())}

    def _post_custom_domains(self, request: Request) -> dict[str, Any]:
        given = request.get_json()
        domain = {
            "domain": given["domain"],
            "enabled": bool(given["enabled"]),
            "minTLS": given.get("minTLS", "1.0"),
            "status": {"ownership": "active", "ssl": "active"},
            "zoneId": given["zoneId"],
        }
        self._change(custom_domains={**self.store.settings["custom_domains"], domain["domain"]: domain})
        return {name: domain[name] for name in ("domain", "enabled", "minTLS")}

    def _get_custom_domain(self, _request: Request, domain: str) -> dict[str, Any]:
        if domain not in self.store.settings["custom_domains"]:
            raise ApiError(404, 10013, "The specified domain is not connected to this bucket.")
        found: dict[str, Any] = self.store.settings["custom_domains"][domain]
        return found

    def _put_custom_domain(self, request: Request, domain: str) -> dict[str, Any]:
        found = self._get_custom_domain(request, domain)
        given = {name: value for name, value in request.get_json().items() if name in ("enabled", "minTLS")}
        self._change(custom_domains={**self.store.settings["custom_domains"], domain: {**found, **given}})
        return {"domain": domain, **given}

    def _delete_custom_domain(self, request: Request, domain: str) -> dict[str, Any]:
        self._get_custom_domain(request, domain)
        others = {name: value for name, value in self.store.settings["custom_domains"].items() if name != domain}
        self._change(custom_domains=others)
        return {"domain": domain}
