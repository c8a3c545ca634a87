#!/bin/sh
# Makes what docker-compose.yml mounts as secrets, each only where it is missing: passwords, addresses with them, key rings,
# and two certificate authorities of one's own with the certificates of the parts. Run it again before a certificate ends.
#   deploy/make-secrets.sh [FOLDER, ./secrets if left out] [DAYS that certificates are good for, 365 if left out]
# The folder is closed to all but its owner. The files in it are not, for containers run as users of their own.
set -eu
umask 022
folder=${1:-secrets}
days=${2:-365}
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

# put NAME TEXT: a file, unless it is there.
put() {
    [ -s "$1" ] || { printf '%s\n' "$2" >"$1.new" && mv "$1.new" "$1"; }
}

# authority NAME: a key and a certificate that signs others.
authority() {
    [ -s "$1-key" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$1-key"
    openssl x509 -in "$1" -noout -checkend 2592000 >/dev/null 2>&1 ||
        openssl req -x509 -new -key "$1-key" -sha256 -days "$((days * 5))" -subj "/CN=sb-transfer $1" \
            -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign -out "$1"
}

# certificate NAME AUTHORITY PURPOSES HOSTS: a key and a certificate; one that ends within 30 days is made anew.
certificate() {
    [ -s "$1-key" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$1-key"
    openssl x509 -in "$1-cert" -noout -checkend 2592000 >/dev/null 2>&1 && return
    printf '%s\n' basicConstraints=critical,CA:false keyUsage=critical,digitalSignature \
        "extendedKeyUsage=$3" "subjectAltName=$4" subjectKeyIdentifier=hash authorityKeyIdentifier=keyid >"$1.ext"
    openssl req -new -key "$1-key" -subj "/CN=$1" |
        openssl x509 -req -CA "$2" -CAkey "$2-key" -set_serial "0x$(openssl rand -hex 16)" -sha256 -days "$days" \
            -extfile "$1.ext" -out "$1-cert" 2>/dev/null
    rm "$1.ext"
}

for name in postgres owner app api codec temporal grafana; do
    put "$name-password" "$(openssl rand -hex 24)"
done
for name in owner api codec; do
    put "database-url-$name" "postgresql://sb_$name:$(cat "$name-password")@postgres:5432/sb?sslmode=verify-full&sslrootcert=/run/secrets/authority"
done
put ticket-keys "$(openssl rand -base64 32 | tr '+/' '-_')"
put session-keys "$(openssl rand -base64 32 | tr '+/' '-_')"
put certificate-keys "$(openssl rand -base64 32)"
put payload-keys "$(openssl rand -base64 32)"
put smtp-url "smtp+starttls://mail:1025"
put cells "{}"
# Of the Temporal UI at the identity provider; it has to be put here.
[ -e ui-client-secret ] || : >ui-client-secret
# Of the pages there; empty for a public client, which has PKCE alone.
[ -e web-client-secret ] || : >web-client-secret

# Parts trust the first, Temporal's frontend for people the second: nobody's certificate for the one opens the other.
authority authority
authority operators
certificate postgres authority serverAuth "DNS:postgres,DNS:localhost,IP:127.0.0.1"
certificate mail authority serverAuth "DNS:mail,DNS:localhost,IP:127.0.0.1"
certificate temporal authority serverAuth,clientAuth "DNS:temporal,DNS:localhost,IP:127.0.0.1"
for name in setup worker api; do
    certificate "$name" authority clientAuth "DNS:$name"
done
for name in temporal-ui operator; do
    certificate "$name" operators clientAuth "DNS:$name"
done

# What no container is given stays its owner's; the rest may have been written by `sb-transfer keys rotate`, which closes files.
for file in *; do
    case $file in
        authority-key | operators-key | operator-key) chmod 600 "$file" ;;
        *) chmod 644 "$file" ;;
    esac
done
