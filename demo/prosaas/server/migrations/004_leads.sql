-- Copyright (c) 2026, the prosaas.ops authors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

CREATE TABLE leads (
    id SERIAL PRIMARY KEY,
    tenant_id INTEGER REFERENCES business (id),
    phone_e164 TEXT,
    phone_raw TEXT,
    gender TEXT,
    last_call_direction TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
