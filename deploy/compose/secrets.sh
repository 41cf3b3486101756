#!/bin/sh
# Makes every secret of docker-compose.yml, each once, and each readable by the one program that needs it. They exist in
# the stack's volumes and nowhere else; `docker compose down --volumes` forgets them, together with the data they protect.
#
#   secrets.sh DIRECTORY [OWNER]    OWNER: who the database and the broker run as; without one, files stay ours
set -eu
umask 077
dir=$1
owner=${2:-}

random() { # bytes, as hexadecimal digits
    od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'
}

# What standard input says, under this name, for this user. Whole or not at all, and never twice.
keep() {
    path=$dir/$1
    [ -e "$path" ] && return
    cat >"$path.new"
    chmod 0400 "$path.new"
    [ -z "$owner" ] || chown "$2" "$path.new"
    mv "$path.new" "$path"
}

for part in mongodb rabbitmq issuer user-service; do
    mkdir -p "$dir/$part"
    chmod 0755 "$dir/$part"
done

# Left from a start that was cut short: the passwords below belong together.
[ -e "$dir/issuer/complete" ] || rm -f "$dir"/*/*

store=$(random 24)
events=$(random 24)
announcements=$(random 24)

# MongoDB: its members know each other by the key file; the issuer has an account for its one database.
random 378 | keep mongodb/keyfile "$owner"
random 24 | keep mongodb/root-password "$owner"
printf '%s' "$store" | keep mongodb/issuer-password "$owner"

# RabbitMQ: the issuer publishes and reads nothing; the example service hears events, and no mails.
keep rabbitmq/definitions.json "$owner" <<EOT
{
  "vhosts": [{"name": "/"}],
  "users": [
    {"name": "issuer", "password": "$events", "tags": []},
    {"name": "user-service", "password": "$announcements", "tags": []}
  ],
  "permissions": [
    {
      "user": "issuer", "vhost": "/", "read": "^$",
      "configure": "^auth[.](events|mail)$", "write": "^(auth[.](events|mail)|amq[.]default)$"
    },
    {
      "user": "user-service", "vhost": "/", "read": "^(auth[.]events|user-service[.]users)$",
      "configure": "^(auth[.]events|user-service[.]users)$", "write": "^user-service[.]users$"
    }
  ]
}
EOT

printf 'mongodb://issuer:%s@mongodb:27017/doorward?replicaSet=rs0&authSource=doorward' "$store" | keep issuer/store-url 65532
printf 'amqp://issuer:%s@rabbitmq:5672/%%2f' "$events" | keep issuer/events-url 65532
printf 'amqp://user-service:%s@rabbitmq:5672/%%2f' "$announcements" | keep user-service/amqp-url 65532
head -c 32 /dev/urandom | base64 | keep issuer/master-key 65532
printf '' | keep issuer/complete 65532
