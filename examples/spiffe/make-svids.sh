#!/bin/sh
# Two trust domains, and an identity in one of them for each process.
set -e
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
        -keyout "$1-ca.key" -subj "/O=$1.example" -out "$1-ca.crt"
}
issue() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -keyout "$1.key" -subj "/O=$2.example" -out "$1.csr"
    printf 'subjectAltName=URI:spiffe://%s.example/%s\nbasicConstraints=CA:FALSE\n' "$2" "$1" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2-ca.crt" -CAkey "$2-ca.key" -days 90 -extfile "$1.ext" \
        -out "$1.crt"
    rm "$1.csr" "$1.ext"
}
authority a
authority b
issue parent a
issue child-1 a
issue child-2 b
