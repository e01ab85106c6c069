-- Copyright (c) 2026, the prosaas.ops authors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

CREATE TABLE call_log (
    id SERIAL PRIMARY KEY,
    call_sid TEXT UNIQUE,
    business_id INTEGER REFERENCES business (id),
    lead_id INTEGER REFERENCES leads (id),
    from_number TEXT,
    to_number TEXT,
    direction TEXT,
    status TEXT,
    call_status TEXT,
    recording_mode TEXT,
    recording_sid TEXT,
    recording_count INTEGER,
    audio_bytes_len BIGINT,
    audio_duration_sec DOUBLE PRECISION,
    transcript_source TEXT,
    stream_started_at TIMESTAMPTZ,
    stream_ended_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
