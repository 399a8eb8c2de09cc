#!/usr/bin/env bash
# Builds Telegraf (from its published Go module) with the parts that the benches need, where no package of it exists.
#
#   bench/rivals/build_telegraf.sh      prints the path of the binary; builds it first when the cache lacks it
#
# The result is cached outside the checkout, in ${GATEHOUSE_TOOLS:-${XDG_CACHE_HOME:-~/.cache}/gatehouse}/telegraf-VERSION.
# Needs: go. Some ten minutes on two cores with an empty module cache, the first time only.
set -euo pipefail

version=1.37.2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${GATEHOUSE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse}
binary=$cache/telegraf-$version

if [[ -x $binary ]]; then
    echo "$binary"
    exit 0
fi
command -v go >/dev/null || {
    echo "build_telegraf.sh: 'go' is missing; on Debian: apt-get install golang" >&2
    exit 1
}
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
mkdir -p "$cache"
cp "$here/go.mod" "$here/go.sum" "$work/"
cd "$work"
GOFLAGS=-mod=mod go build -trimpath -tags custom,inputs.mqtt_consumer,outputs.influxdb_v2,parsers.json_v2 \
    -o "$work/telegraf" github.com/influxdata/telegraf/cmd/telegraf >&2
mv "$work/telegraf" "$binary"
echo "$binary"
