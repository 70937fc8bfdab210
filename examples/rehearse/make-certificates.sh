#!/bin/sh
# An authority, and certificates of it that end on different days of early 2027. The keys are in the
# open: they are nobody's.
set -e
work=$(mktemp -d)
touch "$work/index"
echo 01 > "$work/serial"
cat > "$work/ca.cnf" <<END
[ca]
default_ca = it
[it]
database = $work/index
serial = $work/serial
new_certs_dir = $work
default_md = default
policy = any
unique_subject = no
[any]
commonName = supplied
END
issue() {
    openssl genpkey -algorithm ed25519 -out "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$1" -config "$work/ca.cnf" -out "$work/$1.csr"
    printf '%s\n' "$3" > "$work/$1.ext"
    openssl ca -batch -notext -config "$work/ca.cnf" -in "$work/$1.csr" -out "$1.crt" $4 \
        -extfile "$work/$1.ext" -startdate 20261101000000Z -enddate "$2"
}
issue ca 20361101000000Z "basicConstraints=critical,CA:TRUE" "-selfsign -keyfile ca.key"
signed="-cert ca.crt -keyfile ca.key"
issue eu 20270120093000Z "subjectAltName=IP:127.0.0.1" "$signed"
issue us 20270601000000Z "subjectAltName=IP:127.0.0.1" "$signed"
issue parent 20270215000000Z "subjectAltName=DNS:parent.example" "$signed"
issue shop 20270310120000Z "subjectAltName=DNS:shop.example" "$signed"
rm -r ca.key "$work"
