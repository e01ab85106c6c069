# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One Redis client for each process; it connects with its first command."""

from __future__ import annotations

import redis

from server.config import REDIS_URL

client = redis.from_url(REDIS_URL, decode_responses=True, socket_connect_timeout=3)
