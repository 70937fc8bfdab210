#!/bin/sh
# A certificate authority, and certificates of it for the children and the parent.
set -e
issue() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -keyout "$1.key" -subj "/CN=$1" -out "$1.csr"
    printf 'subjectAltName=%s\n' "$2" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -days 90 -extfile "$1.ext" \
        -out "$1.crt"
    rm "$1.csr" "$1.ext"
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
    -keyout ca.key -subj "/CN=example" -out ca.crt
issue child-1 "IP:127.0.0.1"
issue child-2 "IP:127.0.0.1"
issue parent "DNS:parent.example"
