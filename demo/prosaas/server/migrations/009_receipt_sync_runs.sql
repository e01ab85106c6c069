-- Copyright (c) 2026, the prosaas.ops authors
-- GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

CREATE TABLE receipt_sync_runs (
    id SERIAL PRIMARY KEY,
    from_date DATE,
    to_date DATE,
    months_back INTEGER,
    run_to_completion BOOLEAN,
    max_seconds_per_run INTEGER,
    skipped_count INTEGER
);
