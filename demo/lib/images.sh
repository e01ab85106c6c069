# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The base image, with or without a registry. Needs say.sh, packages.sh, $ROOT, $DEMO and an engine.

BASE_IMAGE=prosaas-demo/base:bookworm
DEBIAN_IMAGE=prosaas-demo/debian:bookworm

image_label() { docker image inspect -f "{{ index .Config.Labels \"$2\" }}" "$1" 2>/dev/null || true; }

# The base image is current when it was made from this Dockerfile and this authority.
base_image_inputs() { cat "$ROOT/demo/images/base/Dockerfile" "$DEMO/ca/ca.crt" | sha256sum | cut -c1-16; }

make_base_image() {
  local inputs from
  inputs=$(base_image_inputs)
  if [[ $(image_label "$BASE_IMAGE" ops.prosaas.demo.inputs) == "$inputs" ]]; then
    echo "$BASE_IMAGE is current"
    return 0
  fi
  from=$(debian_image)
  mkdir -p "$DEMO/build/base"
  cp "$ROOT/demo/images/base/Dockerfile" "$DEMO/build/base/Dockerfile"
  install -m 644 "$DEMO/ca/ca.crt" "$DEMO/build/base/prosaas-demo.crt"
  docker build --build-arg DEBIAN="$from" --label ops.prosaas.demo=true --label ops.prosaas.demo.inputs="$inputs" \
    -t "$BASE_IMAGE" "$DEMO/build/base"
}

# Prints the name of a Debian 12 image: the usual one where a registry answers, else one made from packages.
debian_image() {
  local usual=debian:bookworm-slim
  if docker image inspect "$DEBIAN_IMAGE" >/dev/null 2>&1; then
    echo "$DEBIAN_IMAGE"
  elif docker image inspect "$usual" >/dev/null 2>&1; then
    echo "$usual"
  elif timeout 120 docker pull -q "$usual" >&2; then
    echo "$usual" >>"$DEMO/images-pulled"
    echo "$usual"
  else
    import_debian_image >&2
    echo "$DEBIAN_IMAGE"
  fi
}

import_debian_image() {
  local mirror
  apt_install mmdebstrap debian-archive-keyring
  mirror=$(debian_mirror)
  as_root mmdebstrap --variant=minbase --include=ca-certificates bookworm - ${mirror:+"$mirror"} |
    docker import --change 'LABEL ops.prosaas.demo=true' - "$DEBIAN_IMAGE"
}
