-- Copyright (c) 2026, the prosaas.ops authors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

CREATE TABLE business (
    id SERIAL PRIMARY KEY,
    name TEXT NOT NULL,
    phone_e164 TEXT UNIQUE,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    voice_id TEXT,
    lead_tabs_config JSONB
);
