#!/bin/sh
# Makes the files that docker-compose.yml mounts as secrets, as far as they are missing; never replaces one.
# The folder is closed to other users. The files in it are readable, because a container reads them as its own user.
set -eu
folder=${1:-secrets}
umask 077
mkdir -p "$folder"

random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

put() { # NAME CONTENT
    if [ -e "$folder/$1" ]; then
        echo "$folder/$1 is there already"
    else
        printf '%s\n' "$2" > "$folder/$1"
        chmod 444 "$folder/$1"
        echo "$folder/$1 made${3:+; $3}"
    fi
}

put clickhouse_password "$(random)"
put clickhouse_writer_password "$(random)"
put clickhouse_reader_password "$(random)"
put clickhouse_api_password "$(random)"
put postgres_password "$(random)"
put api_write_key "$(random)"
put grafana_password "$(random)"
put alert_webhook_url "" "empty: nobody is told until it holds the webhook's address"
put alert_webhook_secret "whsec_$(head -c 32 /dev/urandom | base64)" "the webhook's receiver verifies with it"
put anthropic_api_key "" "empty: traders are graded by rule until it holds a key"
