// Copyright (c) 2026, the prosaas.ops authors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

const state = document.getElementById("state");

// As the application's page does: it asks who is there, and nobody is.
fetch("/api/auth/me");

fetch("/api/health")
  .then((response) => response.json())
  .then((health) => { state.value = health.status; })
  .catch(() => { state.value = "no answer"; });
