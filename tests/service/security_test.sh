#!/usr/bin/env bash
# Who may call caracald, by what, and what becomes of those who may not.
source "$(dirname "$0")/service.sh"
hostile=$PWD/$3
prepare
# Below a root, and not by links of the test's own.
cp -rL "$model" "$work/model"
sed -i "s|path: \"$model\"|path: \"$work/model\"|" "$work/job.textproto"
export HOME=$work/home
mkdir -p "$HOME/.config/caracal" "$work/certificates" "$work/roots"

# certificate NAME CA EXTENSIONS...: NAME.pem and NAME.key, signed by CA.
certificate() {
  local name=$1 ca=$2
  shift 2
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout "$name.key" -out "$name.csr" -subj "/CN=$name" "$@" 2>/dev/null
  openssl x509 -req -in "$name.csr" -CA "$ca.pem" -CAkey "$ca.key" -days 2 \
    -copy_extensions copy -out "$name.pem" 2>/dev/null
}
cd "$work/certificates"
for ca in ca other_ca; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout "$ca.key" -out "$ca.pem" -subj "/CN=$ca" -days 2 2>/dev/null
done
certificate server ca -addext "subjectAltName=DNS:localhost,IP:127.0.0.1"
certificate ann ca
certificate eve ca
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
  -keyout mallory.key -out mallory.csr -subj "/CN=ann" 2>/dev/null
openssl x509 -req -in mallory.csr -CA other_ca.pem -CAkey other_ca.key \
  -days 2 -out mallory.pem 2>/dev/null
chmod 600 ./*.key
echo "ann admin  # by certificate" >roles
cd - >/dev/null
c=$work/certificates
tls=(--tls-certificate "$c/server.pem" --tls-key "$c/server.key"
  --tls-trust "$c/ca.pem")

# What leaves a door open, or can't work, is refused in one clear line.
serve=("$caracald" --data "$data" --listen)
for listen in 127.0.0.1:99999 127.0.0.1:-1 127.0.0.1:http 127.0.0.1 :7272; do
  must_fail "is '$listen', expected HOST:PORT" "${serve[@]}" "$listen"
done
must_fail "--tls-certificate and --tls-key are needed" "${serve[@]}" 0.0.0.0:0
must_fail "--tls-certificate and --tls-key are needed" "${serve[@]}" '[::]:0'
must_fail "--root has to say" "${serve[@]}" 0.0.0.0:0 "${tls[@]}"
must_fail "token create NAME --role admin" "${serve[@]}" 0.0.0.0:0 \
  "${tls[@]}" --root "$work"
must_fail "token create NAME --role admin" "${serve[@]}" 127.0.0.1:0 \
  --require-token
must_fail "is not the key of" "${serve[@]}" 127.0.0.1:0 \
  --tls-certificate "$c/server.pem" --tls-key "$c/ann.key"
must_fail "no certificate" "${serve[@]}" 127.0.0.1:0 \
  --tls-certificate "$c/roles" --tls-key "$c/server.key"
must_fail "go together" "${serve[@]}" 127.0.0.1:0 --tls-key "$c/server.key"
must_fail "go together" "${serve[@]}" 127.0.0.1:0 "${tls[@]}" \
  --client-ca "$c/ca.pem"
must_fail "is no folder" "${serve[@]}" 127.0.0.1:0 --root "$work/nowhere"
chmod 644 "$c/server.key"
must_fail "chmod 600" "${serve[@]}" 127.0.0.1:0 "${tls[@]}"
chmod 600 "$c/server.key"

# The first token is an admin's, made where the data is. Before the last one
# expires people are told.
token=("$caracald" --data "$data" token)
must_fail "has to be an admin's" "${token[@]}" create vera --role viewer
admin=$("${token[@]}" create root --role admin)
old=$("${token[@]}" create old --role submitter --expires 1s)
must_fail "has a token" "${token[@]}" create root --role viewer
must_fail "expected one of viewer" "${token[@]}" create new --role emperor

# Where nobody calls the last admin may go, and that is said.
other=("$caracald" --data "$work/other" token)
"${other[@]}" create ann --role admin --expires 90d >/dev/null
"${other[@]}" list >"$work/list.txt" 2>"$work/notes.txt"
grep -q -E "^ann admin expires 20[0-9-]+ [0-9:]+ UTC$" "$work/list.txt" &&
  grep -q "the last token of an admin, ann's, expires at 20" "$work/notes.txt" ||
  fail "$(cat "$work/list.txt" "$work/notes.txt")"
"${other[@]}" revoke ann 2>"$work/notes.txt" || fail "revoke"
grep -q "no admin has a valid token" "$work/notes.txt" ||
  fail "$(cat "$work/notes.txt")"
# A coordinator says so as the last one expires, and not when it next looks.
"${other[@]}" create eve --role admin --expires 1s >/dev/null
"$caracald" --data "$work/other" --listen 127.0.0.1:0 >"$work/other.txt" 2>&1 &
daemon=$!
eventually "the last admin's token has expired" \
  grep -q "no admin has a valid token" "$work/other.txt"
kill_daemon

export CARACAL_TOKEN=$admin
start_daemon "${tls[@]}" --client-ca "$c/ca.pem" --root "$work" \
  --certificate-roles "$c/roles" --rate 500
must_fail "another caracald uses" "${token[@]}" list
port=$(sed -E 's/.*"address":"[^"]*:([0-9]+)".*/\1/' "$data/endpoint.json")
submitter=$("$caracal" token create sam --role submitter --expires 1d \
  2>"$work/notes.txt")
grep -q "only time" "$work/notes.txt" || fail "$(cat "$work/notes.txt")"
viewer=$("$caracal" token create vera --role viewer 2>/dev/null)
gone=$("$caracal" token create gone --role admin 2>/dev/null)
"$caracal" token revoke gone || fail "revoke"
must_fail "gone has no valid token: it was revoked at" \
  "$caracal" token revoke gone
must_fail "nobody never had a token" "$caracal" token revoke nobody
"$caracal" token list | grep -q -E "^gone +admin +revoked" ||
  fail "$("$caracal" token list)"

# as TOKEN COMMAND...
as() {
  local token=$1
  shift
  CARACAL_TOKEN=$token "$@"
}
must_fail "a token is needed" as "" "$caracal" ls
must_fail "not known here" as "${admin}x" "$caracal" ls
must_fail "gone was revoked" as "$gone" "$caracal" ls
(umask 077 && echo caracal_wrong >"$work/wrong_token")
must_fail "not known here" as "$admin" "$caracal" submit \
  "$work/job.textproto" --token-file "$work/wrong_token"
is_expired() {
  as "$old" "$caracal" ls 2>"$work/err.txt" >&2 && return 1
  grep -q "the token of old expired at" "$work/err.txt"
}
eventually "a token has expired" is_expired
as "$viewer" "$caracal" ls >/dev/null || fail "a viewer may look"
must_fail "needs the role submitter" as "$viewer" "$caracal" submit \
  "$work/job.textproto"
must_fail "needs the role admin" as "$submitter" "$caracal" token list

# By the default file; not when others can read it.
echo "$viewer" >"$HOME/.config/caracal/token"
must_fail "others can read" as "" "$caracal" ls
chmod 600 "$HOME/.config/caracal/token"
as "" "$caracal" ls >/dev/null || fail "ls by the default file"
rm "$HOME/.config/caracal/token"

# By certificate; of whom nobody knows, and of whom the CA does not.
by() {
  CARACAL_TOKEN= "$caracal" "${@:2}" --certificate "$c/$1.pem" \
    --certificate-key "$c/$1.key"
}
by ann token list >/dev/null || fail "a certificate of an admin"
must_fail "no role here" by eve ls
# must_refuse PATTERN COMMAND...: fails with this one line, which names the
# server's address.
must_refuse() {
  must_fail "127.0.0.1:$port" "${@:2}"
  [ "$(wc -l <"$work/err.txt")" = 1 ] && grep -q "$1" "$work/err.txt" ||
    fail "$(cat "$work/err.txt")"
}
mallory="'ann', is refused: it is signed by 'other_ca', an authority that is"
must_refuse "$mallory not trusted" by mallory ls

# The server has to be who it is taken for, and is not talked to in the open.
must_refuse "the server's certificate is refused: it is signed by 'ca'" \
  "$caracal" ls --ca "$c/other_ca.pem"
refused_is_told() {
  grep -q "caracald: a client refused the certificate of this server" \
    "$work/daemon.txt"
}
eventually "a refused certificate is told" refused_is_told
! grep -q "^E[0-9]" "$work/daemon.txt" || fail "$(cat "$work/daemon.txt")"
must_refuse "speaks TLS: give --ca" "$caracal" ls --server "127.0.0.1:$port"
must_fail "$c/roles: has no certificate in PEM format" "$caracal" ls \
  --server "127.0.0.1:$port" --ca "$c/roles"
must_fail "$c/eve.key: is not the key of $c/ann.pem" "$caracal" ls \
  --certificate "$c/ann.pem" --certificate-key "$c/eve.key"
"$caracal" ls --server "localhost:$port" --ca "$c/ca.pem" >/dev/null ||
  fail "ls by --ca"
must_fail "not sent to 192.0.2.1:7272 without TLS" "$caracal" ls \
  --server 192.0.2.1:7272
# It may hang up before all was said.
(
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET / HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n' "$admin" >&3
  cat <&3
) >"$work/answer.txt" 2>/dev/null || true
! grep -q "HTTP/1.1 200" "$work/answer.txt" || fail "an answer in the open"

# Messages that are none, or too long, are answered by errors.
"$hostile" "$data/endpoint.json" "$c/ca.pem" <<<"$admin" ||
  fail "hostile client"
"$caracal" ls >/dev/null || fail "it is gone"

# Paths: `..`, links, files of others; all problems at once.
ln -s /etc/passwd "$work/link.h5"
must_fail "data.path: is outside of" "$caracal" submit "$work/job.textproto" \
  --set "data.path=$work/link.h5" --set model.path=/etc
grep -q "model.path: is outside of" "$work/err.txt" ||
  fail "$(cat "$work/err.txt")"
must_fail "model.path: is outside of" "$caracal" submit "$work/job.textproto" \
  --set model.path=/etc --set optimizer.beta1=2
grep -q "optimizer.beta1: is 2" "$work/err.txt" || fail "$(cat "$work/err.txt")"
must_fail "data.validation: is outside of" "$caracal" submit \
  "$work/job.textproto" --set "data.validation=$work/../../../../etc/shadow"

# Jobs are their owners'. What their texts hold runs nothing.
prompt='In the $(touch owned); `touch owned` | touch owned <b>&amp;%s "'"'"
[ "$(as "$submitter" "$caracal" submit "$work/job.textproto" --set \
  "evaluation.prompt=$prompt" \
  --set 'expanded_from=../../$(touch owned)')" = 1 ] ||
  fail "submit"
other=$("$caracal" token create otto --role submitter 2>/dev/null)
for change in "cancel 1" "priority 1 7" "rm 1" "tune 1 --clear"; do
  # shellcheck disable=SC2086
  must_fail "the job is sam's" as "$other" "$caracal" $change
done
"$caracal" priority 1 3 || fail "an admin may"
wait_for 1 succeeded
# Its ranks came by a socket of their own, which needs no certificate; that the
# server's expires in two days is told.
grep -q "$data/gang_endpoint.json" "$data/gangs/1-1/spec.json" &&
  grep -q '"unix:' "$data/gang_endpoint.json" || fail "no socket for gangs"
grep -q "the server's certificate expires at" "$work/daemon.txt" ||
  fail "$(cat "$work/daemon.txt")"
"$caracal" status 1 | grep -q "by sam" || fail "$("$caracal" status 1)"
[ -z "$(find "$work" "$data" -name owned)" ] || fail "a command was run"

# A link that is turned elsewhere before the gang starts.
cp "$work/train.h5" "$work/roots/real.h5"
ln -s "$work/roots/real.h5" "$work/turned.h5"
"$caracal" submit "$work/job.textproto" --set budget.transfer_steps=20000 \
  >/dev/null
"$caracal" submit "$work/job.textproto" --set "data.path=$work/turned.h5" \
  >/dev/null
ln -sfn /etc/passwd "$work/turned.h5"
"$caracal" cancel 2
wait_for 3 failed
"$caracal" status 3 | grep -q "outside of" || fail "$("$caracal" status 3)"

# Who did what is on record, and no secret is anywhere.
audit=$data/audit.jsonl
[ "$(stat -c %a "$audit")" = 600 ] || fail "mode of the audit log"
for line in '"caller":"sam".*"Jobs.Submit","outcome":"OK","job":1' \
  '"caller":"vera".*"Jobs.Submit","outcome":"PERMISSION_DENIED"' \
  '"caller":"otto".*"Jobs.Cancel","outcome":"PERMISSION_DENIED","job":1' \
  '"caller":"root".*"Tokens.Revoke","outcome":"OK","subject":"gone"' \
  '"outcome":"UNAUTHENTICATED"' \
  "\"peer\":\"ipv4:127.0.0.1:.*\"why\":\"the client's certificate, $mallory"; do
  grep -q -E "$line" "$audit" || fail "no $line in $(cat "$audit")"
done
for secret in "$admin" "$submitter" "$viewer" "$gone" "$old"; do
  ! grep -r -q -F "$secret" "$data" "$work/daemon.txt" || fail "a secret"
done
! grep -r -q -F "$(cat "$data/gangs/1-1/credential")" "$audit" \
  "$work/daemon.txt" || fail "a credential"

# All of it holds after a restart.
kill -TERM "$daemon"
wait "$daemon" || fail "exit status $?"
daemon=
"${token[@]}" list | grep -q "^gone admin revoked" || fail "token list"
"${token[@]}" revoke sam || fail "token revoke"
start_daemon
# Without a certificate that makes an admin there would be none left.
must_fail "root's is the last token of an admin" "$caracal" token revoke root
kill_daemon
start_daemon --rate 0.01
must_fail "sam was revoked" as "$submitter" "$caracal" ls
# One, then one in a hundred seconds.
as "$viewer" "$caracal" ls >/dev/null || fail "ls"
must_fail "too many calls: try again in" as "$viewer" "$caracal" ls
