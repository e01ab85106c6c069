-- Copyright (c) 2026, the prosaas.ops authors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

CREATE TABLE outbound_call_runs (
    id SERIAL PRIMARY KEY,
    business_id INTEGER NOT NULL REFERENCES business (id),
    total_leads INTEGER DEFAULT 0,
    queued_count INTEGER DEFAULT 0,
    in_progress_count INTEGER DEFAULT 0,
    completed_count INTEGER DEFAULT 0,
    failed_count INTEGER DEFAULT 0,
    status VARCHAR(32) DEFAULT 'running',
    last_error TEXT,
    locked_by_worker VARCHAR(128),
    created_at TIMESTAMP DEFAULT now(),
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    completed_at TIMESTAMP
);
