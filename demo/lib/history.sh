# shellcheck shell=bash
# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The repository of the stand-in application, with a history to deploy and to go back to, and its project
# directory on the "host". Every function changes nothing when called again. Needs $ROOT, $DEMO, say.sh and an engine.

VERSIONS=(1.0.0 1.1.0 1.2.0 1.3.0)
BAD_DAYS=(dead_flask crash_loop never_healthy slow_start dies_later migration_fails migration_skipped build_fails
  critical_logs at_capacity webhook_unchecked nginx_broken)
# The migration that a version brought; the versions before it do not have the file.
declare -A MIGRATION_OF=([1.1.0]=010_lead_source.sql)

ORIGIN=$DEMO/origin/prosaasil.git
PROJECT=$DEMO/prosaasil

# Identity, time and configuration are fixed, so that commit ids are the same on every machine.
history_git() {
  GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null \
    GIT_AUTHOR_NAME='The stand-in' GIT_AUTHOR_EMAIL=stand-in@prosaas.test \
    GIT_COMMITTER_NAME='The stand-in' GIT_COMMITTER_EMAIL=stand-in@prosaas.test \
    GIT_AUTHOR_DATE="$HISTORY_DATE" GIT_COMMITTER_DATE="$HISTORY_DATE" \
    git -c core.excludesFile=/dev/null -c core.autocrlf=false -c core.fileMode=true "$@"
}

# tree_of VERSION DIRECTORY: demo/prosaas as it was in that version.
tree_of() {
  local later
  find "$2" -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +
  tar -C "$ROOT/demo/prosaas" --exclude=__pycache__ -c . | tar -C "$2" -x
  for later in "${VERSIONS[@]}"; do
    [[ $later > $1 ]] || continue
    sed -i "/data-since=\"$later\"/d" "$2/frontend/index.html"
    rm -f "$2/server/migrations/${MIGRATION_OF[$later]:-none}"
  done
  sed -i "s/${VERSIONS[-1]//./\\.}/$1/g" "$2/VERSION" "$2/frontend/index.html" "$2/docker/nginx/frontend-static.conf"
}

# commit_all DIRECTORY MESSAGE
commit_all() {
  history_git -C "$1" add -A
  history_git -C "$1" commit -q --no-verify --no-gpg-sign -m "$2"
}

# A bad day comes as one commit on top of the newest version. A build fails the way builds do: a file that the
# Dockerfile copies was forgotten. A migration fails by what it says. The proxy's configuration breaks as it does: a word
# with a typing error, which no build reads.
commit_bad_day() {
  history_git -C "$1" checkout -q -b "bad/$2" main
  echo "$2" >"$1/FAULT"
  if [[ $2 == build_fails ]]; then
    sed -i 's|^COPY server/ server/$|COPY server/ forgotten.txt server/|' "$1"/Dockerfile.backend*
  elif [[ $2 == migration_fails ]]; then
    echo 'ALTER TABLE leads ADD COLUMN bad_day migration_fails;' >"$1/server/migrations/999_bad_day.sql"
  elif [[ $2 == nginx_broken ]]; then
    sed -i 's|^    server_tokens off;$|    server_tokns off;|' "$1/docker/nginx/nginx.conf"
  fi
  commit_all "$1" "A bad day: $2"
}

# make_origin: the bare repository, its branches and tags.
make_origin() {
  local work version day number=0 HISTORY_DATE='2026-01-05T08:00:00+00:00'
  work=$(mktemp -d)
  history_git init -q -b main "$work"
  for version in "${VERSIONS[@]}"; do
    HISTORY_DATE="2026-01-$((10 + 5 * number++))T08:00:00+00:00"
    tree_of "$version" "$work"
    commit_all "$work" "Release $version"
    history_git -C "$work" tag "v$version"
  done
  for day in "${BAD_DAYS[@]}"; do commit_bad_day "$work" "$day"; done
  if [[ $(list_refs "$work") != "$(list_refs "$ORIGIN")" ]]; then
    [[ -d $ORIGIN ]] || history_git init -q --bare -b main "$ORIGIN"
    history_git -C "$work" push -q --force --prune "$ORIGIN" 'refs/heads/*:refs/heads/*' 'refs/tags/*:refs/tags/*'
    echo "$ORIGIN: $(history_git -C "$ORIGIN" log --oneline main | wc -l) releases, ${#BAD_DAYS[@]} bad days"
  fi
  rm -rf "$work"
}

list_refs() { git -C "$1" for-each-ref --format='%(objectname) %(refname)' 2>/dev/null || true; }

# make_history: the repository, its clone on the "host", what the host must have beside it.
make_history() {
  make_origin
  if [[ -d $PROJECT/.git ]]; then
    # Another version of this checkout has made another history, tags included.
    git -C "$PROJECT" fetch -q --prune --tags --force origin
  else
    git clone -q "$ORIGIN" "$PROJECT"
  fi
  make_env
  make_site_certificate
}

make_site_certificate() {
  # shellcheck source=demo/cloud/ca.sh
  source "$ROOT/demo/cloud/ca.sh"
  issue_site_certificate "$PROJECT/docker/nginx/ssl"
}

# secret_file NAME BYTES: the content of .demo/secrets/NAME, which the cloud reads, too; made when absent.
secret_file() { secret_of "$1" random_hex "$2"; }
# secret_word NAME LENGTH: the same, of letters and digits.
secret_word() { secret_of "$1" random_word "$2"; }

secret_of() {
  local file=$DEMO/secrets/$1
  [[ -s $file ]] || (umask 077 && mkdir -p "$DEMO/secrets" && "${@:2}" >"$file")
  cat "$file"
}

random_hex() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }
# random_word LENGTH: letters of both cases and digits. Pieces of it are in no other output, as those of a hex number are.
random_word() { head -c $(($1 * 4)) /dev/urandom | base64 -w 0 | tr -d '+/=' | cut -c "-$1"; }
# A Fernet key: 32 bytes in URL-safe base64.
random_key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }

make_env() {
  local file=$PROJECT/.env database account=5f1e0a7c9d2b4863a1c0e4d7b6f82913
  [[ -s $file ]] && return
  database=prosaas:$(secret_file postgres_prosaas 24)
  (umask 077 && echo '{"type": "service_account"}' >"$DEMO/secrets/gcp-stt-sa.json")
  (umask 077 && cat >"$file.new") <<EOT
# The environment of the stand-in on this machine; every secret was made here, for this demo alone.
PUBLIC_HOST=https://prosaas.test
PUBLIC_BASE_URL=https://prosaas.test
DOCKER_NETWORK_NAME=prosaas-net
TZ=Asia/Jerusalem

PRODUCTION=1
FLASK_ENV=production
COOKIE_SECURE=true
SECRET_KEY=$(random_word 48)
INTERNAL_SECRET=$(random_word 48)
ENCRYPTION_KEY=$(random_key)

DATABASE_URL=postgresql://$database@db.prosaas.test:5432/prosaas?sslmode=require
DATABASE_URL_POOLER=postgresql://$database@pooler.prosaas.test:5432/prosaas?sslmode=require
DATABASE_URL_DIRECT=postgresql://$database@db.prosaas.test:5432/prosaas?sslmode=require
REDIS_URL=redis://redis:6379/0

TWILIO_ACCOUNT_SID=AC$(secret_file twilio_account 16)
TWILIO_AUTH_TOKEN=$(secret_word twilio_token 48)
TWILIO_PHONE_NUMBER=+15005550006
VALIDATE_TWILIO_SIGNATURE=true
MAX_ACTIVE_CALLS=15
CALLS_OVER_CAPACITY_BEHAVIOR=reject
OPENAI_API_KEY=sk-demo-$(secret_word openai_key 48)
USE_REALTIME_API=true
DISABLE_GOOGLE=true
GCP_SECRETS_DIR=$DEMO/secrets

ATTACHMENT_STORAGE_DRIVER=r2
ATTACHMENT_SECRET=$(random_word 48)
R2_ACCOUNT_ID=$account
R2_BUCKET_NAME=prosaas-attachments
R2_ACCESS_KEY_ID=$(secret_file r2_access_key_id 16)
R2_SECRET_ACCESS_KEY=$(secret_file r2_secret_access_key 32)
R2_ENDPOINT=https://$account.r2.cloudflarestorage.test

N8N_ENCRYPTION_KEY=$(random_word 48)
N8N_JWT_SECRET=$(random_word 48)
N8N_HOST=n8n.prosaas.test
N8N_PROTOCOL=https
N8N_EDITOR_BASE_URL=https://n8n.prosaas.test
N8N_WEBHOOK_URL=https://n8n.prosaas.test
N8N_DB_HOST=db.prosaas.test
N8N_DB_PORT=5432
N8N_DB_NAME=n8n
N8N_DB_USER=n8n
N8N_DB_PASSWORD=$(secret_file postgres_n8n 24)
N8N_DB_TYPE=postgresdb
N8N_DB_SSL=true
DB_POSTGRESDB_SSL_ENABLED=true
DB_POSTGRESDB_SSL_CA=/usr/local/share/ca-certificates/prosaas-demo.crt

BAILEYS_BASE_URL=http://baileys:3300
WHATSAPP_WEBHOOK_SECRET=$(random_word 48)
BAILEYS_WEBHOOK_SECRET=$(random_word 48)

# What the application can do without; the stand-in sends no mail and asks no Google.
SENDGRID_API_KEY=SG.$(random_word 48)
MAIL_FROM_EMAIL=noreply@prosaas.test
GOOGLE_CLIENT_ID=123456789012-demo.apps.googleusercontent.com
GOOGLE_CLIENT_SECRET=$(random_word 48)

# What the stand-in does today: as_found or checklist; and its bad day, if any (demo/README.md).
DEMO_FLAVOUR=${DEMO_FLAVOUR:-as_found}
DEMO_FAULT=
EOT
  # Health checks of 15 s and more, as the real application has them, make a deployment long; tests ask more often.
  [[ -z ${DEMO_HEALTH_INTERVAL:-} ]] || echo "DEMO_HEALTH_INTERVAL=$DEMO_HEALTH_INTERVAL" >>"$file.new"
  mv "$file.new" "$file"
}

# build_vendor_images: what the real application takes from a registry. Layers are cached: a second call is quick.
build_vendor_images() {
  docker build -q -t prosaas-demo/redis:7 "$ROOT/demo/prosaas-images/redis"
  docker build -q -t prosaas-demo/n8n:2.5.1 "$ROOT/demo/prosaas-images/n8n"
}
