#!/bin/sh
# From nothing to a published pair: simulated log, bundle, index, CURRENT. Run again, it finishes
# what a killed run left. Where anything is published already, it leaves all as it is.
#   release-demo LOG_DIR RELEASES_DIR
set -eu
log=$1
releases=$2

if [ -f "$releases/CURRENT" ]; then
    echo "already published: $(cat "$releases/CURRENT")"
    exit
fi

[ -f "$log/log.yaml" ] || csmf-log simulate --out "$log"

trained=$(mktemp)
csmf-train --preset plain --log "$log" --out "$releases" >"$trained" # resumes; already released: says so
cat "$trained"
bundle=$(sed -n 's/^bundle //p' "$trained")

csmf-index --release "$bundle" --log "$log" --publish
