# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates made by OpenSSL for each case, read and judged."""

from __future__ import annotations

import os
import subprocess
import typing as t
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _certificate
from ansible_collections.prosaas.ops.plugins.module_utils._certificate import Trust
from ansible_collections.prosaas.ops.plugins.module_utils._errors import OpsError, Unreachable

DAY = 86400
NAMES = ("site.test", "n8n.site.test")


def execute(argv: Sequence[str], data: str | None = None, environ_update: dict[str, str] | None = None) -> t.Any:
    """What a module's ``run_command`` does."""
    environment = {**os.environ, **(environ_update or {})}
    done = subprocess.run(argv, input=data, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


class Maker:
    """A root, an intermediate and servers' certificates, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def issue(
        self, name: str, by: str = "", san: str = "", key: str = "ec", digest: str = "sha256", days: int = 365
    ) -> Path:
        """Make NAME.crt and NAME.key, signed by another one, or by itself."""
        pair = ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-nodes", "-days", str(days), f"-{digest}"]
        kind = ["-newkey", key] if key != "ec" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        extension = f"subjectAltName={san}" if san else "basicConstraints=critical,CA:TRUE"
        signer = ["-CA", f"{by}.crt", "-CAkey", f"{by}.key"] if by else []
        request = ["openssl", "req", "-x509", "-subj", f"/O=Makers/CN={name}", "-addext", extension]
        if san:
            request += ["-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run([*request, *kind, *pair, *signer], cwd=self.folder, check=True, capture_output=True)
        return self.folder / f"{name}.crt"

    def bundle(self, *names: str) -> Path:
        path = self.folder / "bundle.crt"
        path.write_text("".join((self.folder / f"{name}.crt").read_text() for name in names), encoding="ascii")
        return path

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    maker = Maker(tmp_path_factory.mktemp("certificates"))
    maker.issue("root")
    maker.issue("between", by="root")
    maker.issue("leaf", by="between", san="DNS:site.test,DNS:*.site.test")
    return maker


def test_what_a_certificate_says(made: Maker) -> None:
    (leaf,) = _certificate.read(made.bundle("leaf"), execute)
    assert (leaf.short, _certificate.short(leaf.issuer)) == ("leaf", "between")
    assert (leaf.kind, leaf.bits, leaf.signature) == ("EC", 256, "ecdsa-with-SHA256")
    assert leaf.names == ("site.test", "*.site.test")
    assert round((leaf.end - leaf.start) / DAY) == 365
    assert len(leaf.fingerprint) == 64


def test_a_file_without_and_with_a_damaged_certificate(tmp_path: Path) -> None:
    path = tmp_path / "site.crt"
    path.write_text("nothing of the kind", encoding="ascii")
    with pytest.raises(OpsError, match="holds no certificate"):
        _certificate.read(path, execute)
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", encoding="ascii")
    with pytest.raises(OpsError, match="cannot read|damaged"):
        _certificate.read(path, execute)


def test_openssl_away_is_unknown(made: Maker) -> None:
    def missing(argv: Sequence[str], **_options: object) -> t.Any:
        raise OpsError(f"{argv[0]} is not installed on this host.")

    with pytest.raises(Unreachable, match="not installed"):
        _certificate.read(made.bundle("leaf"), missing)


def test_the_key_is_that_of_the_first(made: Maker) -> None:
    found = _certificate.read(made.bundle("leaf", "between"), execute)
    assert _certificate.judge_match(found, made.key("leaf"), execute).status == "pass"
    assert _certificate.judge_match(found, made.key("root"), execute).status == "fail"
    second = _certificate.judge_match(found, made.key("between"), execute)
    assert (second.status, "certificate 2" in second.evidence) == ("fail", True)


@pytest.mark.parametrize(
    ("pattern", "name", "good"),
    [
        ("site.test", "SITE.test", True),
        ("*.site.test", "n8n.site.test", True),
        ("*.site.test", "site.test", False),
        ("*.site.test", "a.n8n.site.test", False),
        ("*.site.test", ".site.test", False),
        ("n*.site.test", "n8n.site.test", False),
        ("*", "site", False),
    ],
)
def test_what_a_name_covers(pattern: str, name: str, good: bool) -> None:
    assert _certificate.covers(pattern, name) is good


def test_names(made: Maker) -> None:
    (leaf,) = _certificate.read(made.bundle("leaf"), execute)
    assert _certificate.judge_names(leaf, NAMES).status == "pass"
    assert "it does not name other.test" in _certificate.judge_names(leaf, [*NAMES, "other.test"]).evidence
    (root,) = _certificate.read(made.bundle("root"), execute)
    assert "Subject Alternative Name" in _certificate.judge_names(root, ["root"]).evidence, "clients ignore the CN"


@pytest.mark.parametrize(
    ("names", "status", "words"),
    [
        (("leaf", "between"), "pass", "leaf, 1 in between, leads to root, the CA in"),
        (("leaf", "between", "root"), "pass", "leads to root"),
        (("leaf", "root", "between"), "warn", "another order"),
        (("leaf",), "fail", "between is neither in the file nor trusted"),
        (("leaf", "root"), "fail", "between is neither in the file nor trusted"),
    ],
)
def test_chain(made: Maker, names: tuple[str, ...], status: str, words: str) -> None:
    path = made.bundle(*names)
    found = _certificate.read(path, execute)
    for origin in (False, True):
        trust = Trust(str(made.folder / "root.crt"), origin)
        outcome = _certificate.judge_chain(path, found, trust, execute)
        assert (outcome.status, words in outcome.evidence) == (status, True), outcome


def test_chain_without_an_authority_that_is_trusted(made: Maker) -> None:
    path = made.bundle("leaf", "between")
    found = _certificate.read(path, execute)
    unknown = _certificate.judge_chain(path, found, Trust(), execute)
    assert (unknown.status, "root is neither in the file nor trusted" in unknown.evidence) == ("fail", True)
    private = _certificate.judge_chain(path, found, Trust(private={"ROOT": "https://ca.test"}), execute)
    assert "which no browser trusts" in private.evidence
    assert "https://ca.test" in private.remedy
    assert _certificate.judge_chain(path, found, Trust(origin=True), execute).status == "fail"
    with pytest.raises(OpsError, match="openssl verify did not work"):
        _certificate.judge_chain(path, found, Trust("/nonexistent"), execute)


def test_signed_by_itself(made: Maker) -> None:
    path = made.issue("alone", san="DNS:site.test")
    outcome = _certificate.judge_chain(path, _certificate.read(path, execute), Trust(), execute)
    assert (outcome.status, "signed by itself" in outcome.evidence) == ("fail", True)
    trusted = _certificate.judge_chain(path, _certificate.read(path, execute), Trust(str(path)), execute)
    assert trusted.status == "pass", "where it is given as the authority"


def test_an_intermediate_that_has_expired(made: Maker) -> None:
    path = made.bundle("leaf", "between")
    found = _certificate.read(path, execute)
    trust = Trust(str(made.folder / "root.crt"))
    late = _certificate.judge_chain(path, found, trust, execute, now=found[1].end + 1)
    assert late.evidence == "intermediate between has expired"
    alone = made.bundle("leaf")
    expired = _certificate.judge_chain(alone, _certificate.read(alone, execute), trust, execute, now=found[0].end + 1)
    assert "expired" not in expired.evidence, "that of the server's own is said by another check"


@pytest.mark.parametrize(
    ("key", "digest", "status", "words"),
    [
        ("rsa:2048", "sha256", "pass", "RSA of 2048 bits"),
        ("rsa:1024", "sha256", "fail", "1024 bits (RSA)"),
        ("rsa:2048", "sha1", "fail", "signed with sha1WithRSAEncryption"),
        ("ec", "sha384", "pass", "EC of 256 bits"),
        ("ec", "sha1", "fail", "signed with ecdsa-with-SHA1"),
        ("ed25519", "sha256", "pass", "ED25519"),
    ],
)
def test_strength(made: Maker, key: str, digest: str, status: str, words: str) -> None:
    signer = "ec-root" if key == "ec" else "rsa-root"
    if not (made.folder / f"{signer}.crt").exists():
        made.issue(signer, key="ec" if key == "ec" else "rsa:2048", digest="sha1")
    path = made.issue("judged", by=signer, san="DNS:site.test", key=key, digest=digest)
    outcome = _certificate.judge_strength(_certificate.read(path, execute))
    assert (outcome.status, words in outcome.evidence) == (status, True), outcome


def test_the_signature_of_a_root_counts_for_nothing(made: Maker) -> None:
    made.issue("old-root", key="rsa:2048", digest="sha1")
    made.issue("young", by="old-root", san="DNS:site.test")
    assert _certificate.judge_strength(_certificate.read(made.bundle("young", "old-root"), execute)).status == "pass"


def test_files(tmp_path: Path, made: Maker) -> None:
    certificate, key = tmp_path / "site.crt", tmp_path / "site.key"
    assert "does not exist" in _certificate.judge_files(certificate, key).evidence
    certificate.mkdir()
    assert "is a directory" in _certificate.judge_files(certificate, key).evidence
    certificate.rmdir()
    certificate.symlink_to("../archive/site.crt")
    assert "symbolic link to nothing" in _certificate.judge_files(certificate, key).evidence
    certificate.unlink()
    certificate.write_bytes((made.folder / "leaf.crt").read_bytes())
    key.touch()
    assert "is empty" in _certificate.judge_files(certificate, key).evidence
    key.write_bytes(made.key("leaf").read_bytes())
    key.chmod(0o640)
    assert _certificate.judge_files(certificate, key).status == "pass", "a group is how others than root read it"
    key.chmod(0o644)
    assert _certificate.judge_files(certificate, key).status == "warn"
    key.chmod(0o600)
    certificate.write_bytes(key.read_bytes())
    certificate.chmod(0o644)
    assert _certificate.judge_files(certificate, key).status == "warn", "the key is in the other file, too"


@pytest.mark.parametrize(
    ("lifetime", "left", "status"),
    [
        (365, 90, "pass"),
        (365, 89, "fail"),
        (101, 89, "fail"),
        (90, 89, "pass"),
        (90, 31, "pass"),
        (90, 29, "warn"),
        (90, 6, "fail"),
        (15, 6, "fail"),
        (365, -1, "fail"),
        (365, 366, "fail"),  # not valid yet
    ],
)
def test_days(lifetime: int, left: int, status: str) -> None:
    end = 1_000_000_000.0
    outcome = _certificate.judge_days(end - lifetime * DAY, end, end - left * DAY, 90, 100)
    assert outcome.status == status, outcome


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CN=site.test,O=Shop", "site.test"),
        (
            "OU=CloudFlare Origin SSL Certificate Authority,O=CloudFlare\\, Inc.",
            "CloudFlare Origin SSL Certificate Authority",
        ),
        ("O=CloudFlare\\, Inc.,C=US", "CloudFlare, Inc."),
        ("C=US", "C=US"),
        ("", "nobody"),
    ],
)
def test_what_people_call_it(name: str, said: str) -> None:
    assert _certificate.short(name) == said
