#!/usr/bin/env bash
# The platform of docker-compose.yml: its secrets, a backup of everything, and its restoration.
#
#   scripts/compose.sh secrets          make what is missing of compose/secrets and compose/client
#   scripts/compose.sh token NAME       make an API token for somebody, and print it
#   scripts/compose.sh withdraw NAME    withdraw every token of somebody
#   scripts/compose.sh backup FILE      write all that cannot be made again into one archive
#   scripts/compose.sh restore FILE     bring it all back, where there is nothing yet
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
umask 077
DATABASES=(mlflow airflow deployer)
# Served models go on while these are stopped for a backup.
WRITERS=(deployer airflow-scheduler airflow-dag-processor airflow-api mlflow prometheus s3)
read -ra compose <<<"${COMPOSE:-docker compose}"

fail() {
  printf 'error: %s\n\nhint: %s\n' "$1" "$2" >&2
  exit 1
}
say() { printf '==> %s\n' "$*" >&2; }

setting() { # a variable of the shell, else of .env, else the default
  local line=
  [ -e .env ] && line=$(grep -E "^$1=" .env | tail -n 1) || true
  local found=${line#*=}
  found=${found#[\"\']} found=${found%[\"\']}
  printf '%s' "${!1:-${found:-$2}}"
}

place() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$here" "$1" ;; esac; }

platform() { setting COMPOSE_PROJECT_NAME schnitzel; }

need_docker() {
  command -v docker >/dev/null ||
    fail "docker is not on PATH" "install Docker, 20.10 or newer, with Compose 2"
  "${compose[@]}" version >/dev/null 2>&1 ||
    fail "${compose[*]} does not work" "install Compose 2, or name it: COMPOSE=/path/to/docker-compose $0"
  docker ps --quiet >/dev/null 2>&1 ||
    fail "Docker does not answer" "see what it says, and whether you may ask it: docker ps"
}

need_secrets() {
  local file
  sed -n 's|^ .*{file: \./\(compose/secrets/.*\)}$|\1|p' docker-compose.yml | while read -r file; do
    [ -s "$file" ] || fail "$file is missing" "bring it back, or have it made: scripts/compose.sh secrets"
  done
}

random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# A file is read by the user of its container, who is none of this machine: anybody may read it, and
# only the owner of the folder reaches it. What is there is kept.
keep() { # FILE [MODE]; its content from standard input
  if [ -s "$1" ]; then cat >/dev/null; else cat >"$1"; fi
  chmod "${2:-644}" "$1"
}

TOKENS=compose/secrets/tokens.json

known_tokens() { [ ! -s "$TOKENS" ] || grep '": "' "$TOKENS" | tr -d ',' || true; }

# Only hashes are kept. The file is written in place: a container sees the file that it was given.
write_tokens() { # a line for each; none of them has a comma
  printf '{\n%s\n}\n' "$(sed '$!s/$/,/' <<<"$1")" >"$TOKENS"
  chmod 644 "$TOKENS"
}

check_subject() {
  [[ $1 =~ ^[A-Za-z0-9._@-]+$ ]] || fail "$1 cannot be a subject" "use letters, digits and . _ @ -"
}

make_token() {
  local token hash
  check_subject "$1"
  token=$(random 32)
  hash=$(printf '%s' "$token" | sha256sum | cut -d' ' -f1)
  write_tokens "$(known_tokens; printf ' "%s": "%s"' "$hash" "$1")"
  printf '%s:%s\n' "$1" "$token"
}

withdraw_tokens() {
  check_subject "$1"
  known_tokens | grep -qF "\": \"$1\"" || fail "there is no token of $1" "see $TOKENS"
  write_tokens "$(known_tokens | grep -vF "\": \"$1\"" || true)"
  say "every token of $1 is withdrawn"
}

# What is in a volume goes on with the password that it was made with.
keep_known() {
  local name
  for name in postgres-password "${DATABASES[@]/%/-password}" s3-key s3-secret; do
    [ -s "compose/secrets/$name" ] && continue
    ! docker volume inspect "$(platform)_postgres" >/dev/null 2>&1 ||
      fail "compose/secrets/$name is missing, and the data of $(platform) was made with it" \
        "bring it back: tar -xOf BACKUP settings.tar | tar -x --skip-old-files; or give up the data: ${compose[*]} down --volumes"
  done
}

bytes() { printf '%b' "$(sed 's/../\\x&/g' <<<"$1")"; } # of a number in hex

# The only user of RabbitMQ, with the hash of a password: 4 bytes of salt, which follow from the password,
# and SHA-256 of salt and password, in base64 (rabbitmq.com/docs/passwords).
rabbitmq_definitions() { # PASSWORD
  local salt hash
  salt=$(printf '%s' "$1" | sha256sum | cut -c 1-8)
  hash=$({ bytes "$salt"; printf '%s' "$1"; } | sha256sum | cut -d' ' -f1)
  cat <<END
{"users": [{"name": "schnitzel", "tags": "",
  "hashing_algorithm": "rabbit_password_hashing_sha256",
  "password_hash": "$(bytes "$salt$hash" | base64)"}],
 "vhosts": [{"name": "/"}],
 "permissions": [{"user": "schnitzel", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}
END
}

make_secrets() {
  local folder=compose/secrets client=compose/client name password
  keep_known
  mkdir -p "$folder" "$client" compose/projects
  chmod 700 "$folder" "$client"
  chmod 755 compose/projects
  random 24 | keep "$folder/postgres-password"
  for name in "${DATABASES[@]}"; do random 24 | keep "$folder/$name-password" 600; done
  for name in "${DATABASES[@]}"; do
    password=$(<"$folder/$name-password")
    echo "CREATE ROLE $name LOGIN PASSWORD '$password';"
    echo "CREATE DATABASE $name OWNER $name;"
    echo "REVOKE CONNECT ON DATABASE $name FROM PUBLIC;"
  done | keep "$folder/databases.sql"
  printf 'postgresql+psycopg://mlflow:%s@postgres/mlflow' "$(<"$folder/mlflow-password")" |
    keep "$folder/mlflow-database"
  printf 'postgresql://deployer:%s@postgres/deployer' "$(<"$folder/deployer-password")" |
    keep "$folder/deployer-database"
  # A file and no variables: steps of pipelines inherit those.
  name=postgresql+psycopg://airflow:$(<"$folder/airflow-password")@postgres/airflow
  keep "$folder/airflow.cfg" <<END
[core]
fernet_key = $(head -c 32 /dev/urandom | base64 | tr '+/' '-_')
[api]
secret_key = $(random 32)
[api_auth]
jwt_secret = $(random 32)
[database]
sql_alchemy_conn = $name
sql_alchemy_conn_async = $name
END
  random 18 | keep "$client/airflow-password" 600
  printf '{"admin": "%s"}\n' "$(<"$client/airflow-password")" | keep "$folder/airflow-passwords.json"
  random 10 | keep "$folder/s3-key" 600
  random 24 | keep "$folder/s3-secret" 600
  keep "$folder/s3.json" <<END
{"identities": [{"name": "mlflow",
  "credentials": [{"accessKey": "$(<"$folder/s3-key")", "secretKey": "$(<"$folder/s3-secret")"}],
  "actions": ["Admin"]}]}
END
  printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
    "$(<"$folder/s3-key")" "$(<"$folder/s3-secret")" | keep "$folder/s3-credentials"
  # Written anew each time: RabbitMQ takes another password at its next start.
  random 24 | keep "$folder/rabbitmq-password" 600
  password=$(<"$folder/rabbitmq-password")
  rabbitmq_definitions "$password" >"$folder/rabbitmq-definitions.json"
  printf 'amqp://schnitzel:%s@rabbitmq:5672/\n' "$password" >"$folder/rabbitmq-url"
  chmod 644 "$folder/rabbitmq-definitions.json" "$folder/rabbitmq-url"
  printf 'amqp://schnitzel:%s@127.0.0.1:%s/\n' "$password" "$(setting RABBITMQ_PORT 5772)" \
    >"$client/rabbitmq-url"
  head -c 32 /dev/urandom | base64 | tr '+/' '-_' | keep "$folder/webhook-key"
  random 24 | keep "$folder/webhook-secret"
  [ -s "$client/token" ] || make_token "$(id -un)" >"$client/token"
  # Written anew each time: ports and folders change.
  cat >"$client/platform.yaml" <<END
# For the command line: SCHNITZEL_HOME=$PWD/$client
mlflow: {url: "http://127.0.0.1:$(setting MLFLOW_PORT 5100)"}
airflow:
  url: http://127.0.0.1:$(setting AIRFLOW_PORT 8180)
  username: admin
  password_ref: file:$PWD/$client/airflow-password
END
  printf '{"deployer": %s}\n' "$(setting DEPLOYER_PORT 8190)" >"$client/ports.json"
  printf 'export %s=%q\n' SCHNITZEL_HOME "$PWD/$client" \
    SCHNITZEL_DEPLOYER_URL "http://127.0.0.1:$(setting DEPLOYER_PORT 8190)" \
    SCHNITZEL_MLFLOW__URL "http://127.0.0.1:$(setting MLFLOW_PORT 5100)" \
    SCHNITZEL_AIRFLOW__URL "http://127.0.0.1:$(setting AIRFLOW_PORT 8180)" >"$client/env"
  say "secrets are in $folder; for the command line: . $client/env"
}

running() { [ -n "$("${compose[@]}" ps --quiet --status running "$1")" ]; }

# How a backup or a restoration ends, also where a program of its own failed.
finish() { # EXIT_CODE FOLDER MESSAGE HINT
  rm -rf "$2"
  [ "$1" -eq 0 ] || fail "$3" "$4"
}

finish_backup() { # EXIT_CODE FOLDER
  local up=yes
  "${compose[@]}" up --detach --wait --no-build >&2 || up=
  finish "$1" "$2" "the backup did not succeed" "what failed is said above; the platform: ${compose[*]} ps"
  [ -n "$up" ] || fail "the backup is made, but not all of the platform started again" "${compose[*]} ps"
}

backup() {
  local file=$1 folder name profiles
  [ ! -e "$file" ] || fail "$file is there already" "name another one"
  need_docker
  need_secrets
  # RabbitMQ's profile may have been named on a command line only.
  profiles=$(setting COMPOSE_PROFILES "")
  export COMPOSE_PROFILES=$profiles${profiles:+,}rabbitmq
  if running rabbitmq; then WRITERS+=(rabbitmq); else COMPOSE_PROFILES=$profiles; fi
  running postgres || fail "the platform does not run" "start it: ${compose[*]} up --detach --wait"
  # Beside the archive, where there is room for it.
  folder=$(mktemp -d "$(dirname "$file")/.backup-XXXXXX")
  # shellcheck disable=SC2064 # its value of now
  trap "finish_backup \$? '$folder'" EXIT
  say "stopping what writes; served models go on"
  "${compose[@]}" stop "${WRITERS[@]}" >&2
  for name in "${DATABASES[@]}"; do
    say "database $name"
    "${compose[@]}" exec -T postgres pg_dump --username=postgres --format=custom "$name" \
      >"$folder/$name.dump"
  done
  say "volumes"
  "${compose[@]}" run --rm --no-deps -T backup \
    'tar --numeric-owner -cf - s3 prometheus rabbitmq home airflow $(ls -d cache/locks 2>/dev/null || true)' \
    >"$folder/volumes.tar"
  say "settings and secrets"
  tar -cf "$folder/settings.tar" compose/secrets compose/client compose/platform.yaml \
    compose/prometheus.yml $(ls -d .env docker-compose.override.yml 2>/dev/null || true)
  tar -C "$folder" -cf "$folder/whole" settings.tar volumes.tar "${DATABASES[@]/%/.dump}"
  tar -tf "$folder/whole" >/dev/null
  mv "$folder/whole" "$file"
  say "$file, $(du -h "$file" | cut -f1); it holds the secrets: keep it as you keep those"
}

restore() {
  local file=$1 folder name
  [ -e "$file" ] || fail "there is no $file" "name an archive that backup made"
  [ "$(tar -tf "$file" 2>/dev/null | sort | tr '\n' ' ')" = \
    "airflow.dump deployer.dump mlflow.dump settings.tar volumes.tar " ] ||
    fail "$file is no whole backup" "name an archive that backup made"
  need_docker
  folder=$(mktemp -d)
  # shellcheck disable=SC2064 # its value of now
  trap "rm -rf '$folder'" EXIT
  tar -xOf "$file" settings.tar >"$folder/settings.tar"
  name=$(cd "$folder" && tar -xf settings.tar .env 2>/dev/null || true; platform)
  [ -z "$(docker volume ls --quiet --filter "label=com.docker.compose.project=$name")" ] ||
    fail "there are volumes of $name, and nothing is overwritten" \
      "to give up what is there: ${compose[*]} down --volumes"
  # shellcheck disable=SC2064 # its value of now
  trap "finish \$? '$folder' 'the restoration did not succeed' 'fix the error above, then: ${compose[*]} down --volumes, and restore again'" EXIT
  say "settings and secrets"
  tar -xf "$folder/settings.tar"
  make_secrets
  say "volumes"
  "${compose[@]}" run --rm -T volumes >&2
  tar -xOf "$file" volumes.tar |
    "${compose[@]}" run --rm --no-deps -T backup 'tar --numeric-owner -xpf -' >&2
  "${compose[@]}" up --detach --wait --no-build postgres >&2
  for name in "${DATABASES[@]}"; do
    say "database $name"
    tar -xOf "$file" "$name.dump" | "${compose[@]}" exec -T postgres pg_restore --username=postgres \
      --dbname="$name" --exit-on-error --single-transaction >&2
  done
  say "starting the platform"
  "${compose[@]}" up --detach --wait --no-build >&2
}

case "${1:-}:$#" in
secrets:1) make_secrets ;;
token:2) make_token "$2" ;;
withdraw:2) withdraw_tokens "$2" ;;
backup:2) backup "$(place "$2")" ;;
restore:2) restore "$(place "$2")" ;;
*)
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac
