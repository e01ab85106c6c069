# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators are told by webhook and by mail, and a receiver that is dead fails no run."""

from __future__ import annotations

import json
import re
import typing as t

import pytest
from demo_stack import Played, Stack
from receivers import mailbox, webhook

TOKEN = "c4n4ry-0f-the-webhook"
PASSWORD = "c4n4ry-0f-the-mail-server"


def play(stack: Stack, name: str, settings: dict[str, t.Any], *options: str) -> Played:
    return stack.play(name, "-e", json.dumps(settings), *options)


def test_start_and_success_by_webhook_and_mail(deployed: Stack) -> None:
    with webhook() as hook, mailbox() as mails:
        settings = {
            "prosaas_notify_webhook": f"http://127.0.0.1:{hook.port}/{TOKEN}",
            "prosaas_notify_mail": {
                "to": ["ops@prosaas.test", "second@prosaas.test"],
                "from": "deploy@prosaas.test",
                "host": "127.0.0.1",
                "port": mails.port,
                "secure": "never",
            },
        }
        done = play(deployed, "deploy", settings, "-vv", "--skip-tags", "preflight")
    assert done.code == 0
    assert TOKEN not in done.output.replace(json.dumps(settings), ""), "the address is a secret"
    start, success = hook.got
    assert (start["path"], start["event"], start["outcome"]) == (f"/{TOKEN}", "start", "")
    record = deployed.record()
    outcome = record["outcome"]  # of a demo that is as it was left, unchanged
    assert (success["event"], success["outcome"], success["run"]) == ("success", outcome, record["run"])
    assert (success["host"], success["project"], success["playbook"]) == ("demo", "prosaasil", "deploy")
    assert (success["operator"], success["commit"]) == ("demo", deployed.commit("main"))
    assert success["msg"] == record["msg"] and success["msg"] in success["text"]
    assert [mail["Subject"] for mail in mails.got] == [
        "prosaasil on demo: deploy begun by demo",
        f"prosaasil on demo: deploy ended well: {outcome}",
    ]
    assert mails.got[1]["To"] == "ops@prosaas.test, second@prosaas.test"
    assert record["run"] in mails.got[1].get_body(("plain",)).get_content()


def test_failure_in_the_words_of_the_record(deployed: Stack) -> None:
    with webhook() as hook:
        settings = {
            "prosaas_notify_webhook": f"http://127.0.0.1:{hook.port}/",
            "prosaas_notify_events": ["failure"],
            "prosaas_notify_webhook_body": {"text": "{{ __prosaas_notice.text }}", "mine": "{{ __prosaas_notice.event }}"},
        }
        done = play(deployed, "deploy", settings, "-e", "commit=no-such-branch", "--skip-tags", "preflight")
    assert done.code != 0
    (failure,) = hook.got
    assert failure["mine"] == "failure"
    assert "no-such-branch" in failure["text"] and "prosaasil on demo: deploy failed" in failure["text"]


@pytest.mark.soak
def test_dead_receivers_are_said_and_recorded_and_fail_nothing(deployed: Stack) -> None:
    settings = {
        "prosaas_notify_webhook": f"http://127.0.0.1:1/{TOKEN}",
        "prosaas_notify_mail": {"host": "127.0.0.1", "port": 1, "username": "u", "password": PASSWORD},
        "prosaas_notify_playbooks": ["verify"],
    }
    done = play(deployed, "verify", settings, "-vv")
    assert (done.code, done.stats["failed"]) == (0, 0)
    said = re.sub(r"\s+", " ", done.output)
    assert "Operators were not told of this start: the webhook took nothing (Connection refused)" in said
    assert "Operators were not told of this success" in deployed.record()["msg"]
    output = done.output.replace(json.dumps(settings), "")
    assert TOKEN not in output and PASSWORD not in output


@pytest.mark.soak
def test_a_receiver_that_answers_with_an_error(deployed: Stack) -> None:
    with webhook() as hook:
        hook.status = 500
        settings = {"prosaas_notify_webhook": f"http://127.0.0.1:{hook.port}/", "prosaas_notify_playbooks": ["verify"]}
        assert play(deployed, "verify", settings).code == 0
    assert "the webhook answered 500" in deployed.record()["msg"]
    assert len(hook.got) == 2


@pytest.mark.soak
def test_nobody_is_told_in_check_mode_or_of_a_playbook_that_is_not_named(deployed: Stack) -> None:
    with webhook() as hook:
        settings = {"prosaas_notify_webhook": f"http://127.0.0.1:{hook.port}/"}
        assert play(deployed, "deploy", settings, "--check").code == 0
        assert play(deployed, "verify", settings).code == 0
    assert hook.got == []
