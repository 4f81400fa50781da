#!/bin/sh
# One of many machines makes the nightly report: takes a lock over HTTP, writes under its fencing
# token, and gives the lock up. Needs curl and jq. COORD lists the nodes' HTTP addresses.
set -eu

COORD=${COORD:-"127.0.0.1:2381 127.0.0.1:2382 127.0.0.1:2383"}
LOCK=/v1/locks/locks/report
RESULT=/v1/nodes/reports/nightly

# Ask one node after the other until one answers; what it says is the answer. (A node that is not
# in quorum says 503, and the next is asked.)
coord() {
    method=$1 path=$2 body=${3:-}
    for node in $COORD; do
        answer=$(curl --silent --show-error --max-time 70 --write-out '\n%{http_code}' \
            --request "$method" "http://$node$path" \
            --header 'Content-Type: application/json' \
            ${SESSION:+--header "Coord-Session: $SESSION"} \
            ${body:+--data "$body"}) || continue
        status=${answer##*
} answer=${answer%
*}
        case $status in
            503 | 504) continue ;;
            2??) printf '%s\n' "$answer" && return 0 ;;
            *) printf '%s\n' "$answer" >&2 && return 1 ;;
        esac
    done
    echo "no node answers" >&2
    return 1
}

SESSION=
opened=$(coord POST /v1/sessions '{"timeout_ms": 10000, "client": "nightly-report"}')
SESSION=$(printf '%s' "$opened" | jq --raw-output .handle)
ID=${SESSION%%.*}

# The session lives as long as somebody says so every third of its timeout.
while sleep 3; do coord POST "/v1/sessions/$ID/keep-alive" '{}' >/dev/null || exit; done &
KEEPER=$!
trap 'kill $KEEPER; coord DELETE "/v1/sessions/$ID" >/dev/null' EXIT

granted=false
while [ "$granted" != true ]; do
    held=$(coord POST "$LOCK" "{\"value\": \"$(hostname)\", \"wait_ms\": 30000}")
    granted=$(printf '%s' "$held" | jq .granted)
done
GUARD=$(printf '%s' "$held" | jq --raw-output .guard)
TOKEN=$(printf '%s' "$held" | jq .token)
echo "granted with token $TOKEN"

coord POST /v1/nodes/reports/nightly '{"make_parents": true}' >/dev/null 2>&1 || true

# However long this takes: if the lock was lost meanwhile, the write below is refused (412).
REPORT=$(date)

value=$(printf '%s' "$REPORT" | jq --raw-input --slurp '{value: .}')
coord PUT "$RESULT?guard=$GUARD&token=$TOKEN" "$value" | jq --compact-output '{path, revision}'
coord DELETE "$LOCK" | jq --compact-output .
