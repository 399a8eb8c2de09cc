#!/usr/bin/env bash
# Builds influxd (InfluxDB 2, from its published Go module) where no package of it exists, for tests and benches.
#
#   deploy/influxdb/build.sh            prints the path of the binary; builds it first when the cache lacks it
#
# The result is cached outside the checkout, in ${GATEHOUSE_TOOLS:-${XDG_CACHE_HOME:-~/.cache}/gatehouse}/influxd-VERSION.
# Needs: go, cargo, clang, pkg-config, protoc. About five minutes on two cores, the first time only.
set -euo pipefail

version=2.7.12
pkg_config_version=0.2.14
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${GATEHOUSE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse}
binary=$cache/influxd-$version

if [[ -x $binary ]]; then
    echo "$binary"
    exit 0
fi
for tool in go cargo clang pkg-config protoc; do
    command -v "$tool" >/dev/null || {
        echo "build.sh: '$tool' is missing; on Debian: apt-get install golang cargo clang pkg-config protobuf-compiler" >&2
        exit 1
    }
done

work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
mkdir -p "$cache"
cp "$here/go.mod" "$here/go.sum" "$work/"
cd "$work"

# influxd's cgo parts ask pkg-config for libflux; InfluxData's own pkg-config builds that Rust library on the way.
real_pkg_config=$(command -v pkg-config)
GOBIN=$work/bin go install "github.com/influxdata/pkg-config@v$pkg_config_version" >&2
mkdir -p "$work/path"
ln -s "$real_pkg_config" "$work/path/pkg-config"

# libflux denies warnings that newer compilers have added since; lints of someone else's code are not ours to fix.
printf '#!/bin/sh\nexec "$@" --cap-lints allow\n' >"$work/rustc-wrapper"
chmod +x "$work/rustc-wrapper"
if command -v rustup >/dev/null; then
    # libflux pins an old toolchain that rustup would download; the installed one builds it as well.
    RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-$(rustup show active-toolchain | cut -d' ' -f1)}
    export RUSTUP_TOOLCHAIN
fi
# libflux is made as small as can be, for browsers; here it shall be built soon.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1
export RUSTC_WRAPPER=$work/rustc-wrapper PKG_CONFIG=$work/bin/pkg-config CC=clang GOFLAGS=-mod=mod
PATH=$work/path:$PATH go build -tags sqlite_foreign_keys,sqlite_json -o "$work/influxd" \
    github.com/influxdata/influxdb/v2/cmd/influxd >&2
mv "$work/influxd" "$binary"
echo "$binary"
