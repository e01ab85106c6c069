# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What an application of three services needs, and little else: it is loaded into every host of a fleet.
ARG BASE=prosaas-demo/debian:bookworm
FROM ${BASE}
LABEL ops.prosaas.demo=true
RUN apt-get update \
 && apt-get install -y --no-install-recommends nginx-light python3 redis-server \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /usr/share/doc /usr/share/man
