# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The certificate authority of the demo: made once, trusted by the base image. To be sourced. Needs $DEMO (.demo).

CA_DAYS=3650
CERTIFICATE_DAYS=365

# make_ca: makes $DEMO/ca/ca.crt and ca.key unless they are there.
make_ca() {
  local dir="$DEMO/ca"
  [[ -s $dir/ca.crt && -s $dir/ca.key ]] && return 0
  mkdir -p "$dir"
  (
    umask 077
    openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days "$CA_DAYS" \
      -subj "/O=prosaas.ops demo/CN=prosaas.ops demo CA" \
      -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
      -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>/dev/null
  )
  chmod 644 "$dir/ca.crt"
}

# issue_certificate NAME SAN... DIR: DIR/NAME.crt and DIR/NAME.key (0600), signed by the authority itself, so that
# the chain is complete with the one certificate. One that is still good is kept.
issue_certificate() {
  local name=$1 dir=${!#} names work
  names=$(printf ',DNS:%s' "${@:2:$#-2}")
  names=${names:1}
  certificate_is_good "$dir/$name" "$names" && return 0
  mkdir -p "$dir"
  work=$(mktemp -d "$dir/.issue.XXXXXX")
  (
    umask 077
    openssl req -new -newkey rsa:2048 -nodes -sha256 -subj "/CN=${2}" -keyout "$work/key" -out "$work/csr" 2>/dev/null
    cat >"$work/extensions" <<EOF
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = $names
EOF
    openssl x509 -req -sha256 -days "$CERTIFICATE_DAYS" -in "$work/csr" -CA "$DEMO/ca/ca.crt" -CAkey "$DEMO/ca/ca.key" \
      -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" -out "$work/crt" 2>/dev/null
  )
  chmod 644 "$work/crt"
  mv "$work/key" "$dir/$name.key"
  mv "$work/crt" "$dir/$name.crt"
  rm -r "$work"
}

# The certificate that the application's nginx serves, where and as the checklist wants it.
issue_site_certificate() {
  issue_certificate prosaas-origin prosaas.test www.prosaas.test n8n.prosaas.test "$1"
}

# Good: signed by this authority, for these names, its key beside it, and a month from its end.
certificate_is_good() {
  local found
  [[ -s $1.crt && -s $1.key ]] || return 1
  found=$(openssl x509 -in "$1.crt" -noout -ext subjectAltName 2>/dev/null | sed -n '2s/ //gp')
  [[ $found == "$2" ]] &&
    openssl x509 -in "$1.crt" -noout -checkend 2592000 >/dev/null 2>&1 &&
    openssl verify -CAfile "$DEMO/ca/ca.crt" "$1.crt" >/dev/null 2>&1
}
