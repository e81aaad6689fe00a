#!/usr/bin/env bash
# Builds the Rust plugin (or the workspace of plugins) in the current directory into WASM components:
#
#   build.sh [arguments of cargo build]      the component: <target directory>/wasm32-wasip2/release/<crate>.wasm
#
# The standard library for wasm32-wasip2 comes from the first of:
#   installed   the Rust toolchain in use has it (once: rustup target add wasm32-wasip2)
#   debian      Debian's compiler and library sources, unpacked beside, never installed (once: about 140 MB to fetch, 850 MB on disk)
#
# Environment:
#   LONGSHORE_GUEST_STD        installed or debian: that way and no other (default: the first that works)
#   LONGSHORE_GUEST_TOOLCHAIN  where Debian's packages are unpacked (default: a folder in the user's cache, shared by all plugins)
set -euo pipefail

target=wasm32-wasip2
way=${LONGSHORE_GUEST_STD:-}
cache=${LONGSHORE_GUEST_TOOLCHAIN:-${XDG_CACHE_HOME:-$HOME/.cache}/longshore/guest-toolchain}

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

# The toolchain in use may be another in another directory: a rust-toolchain.toml decides.
installed() {
    local std
    for std in "$(rustc --print sysroot)/lib/rustlib/$target/lib"/libstd-*.rlib; do
        [ -e "$std" ] && return 0
    done
    return 1
}

debian_can() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null
}

# Fetches and unpacks below a name of its own, then renames: what stands at "$cache" is always complete.
fetch_debian() {
    local work
    mkdir -p "$(dirname "$cache")"
    if command -v flock >/dev/null; then
        # A second build waits here instead of fetching the same again.
        exec 9>"$cache.lock"
        flock 9
        # What an interrupted run left.
        rm -rf "$cache".part.*
    fi
    [ -x "$cache/rustc" ] && return 0
    work=$(mktemp -d "$cache.part.XXXXXX")
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$work'" EXIT
    # apt fetches as a user of its own where it may.
    chmod 755 "$work"
    mkdir "$work/debs"
    echo "fetching Debian's Rust for WASM (once, about 140 MB)" >&2
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq >&2 || true
    fi
    (cd "$work/debs" && apt-get download -qq rustc-web libstd-rust-web-dev rust-web-src wasi-libc >&2) ||
        fail "Debian's Rust for WASM cannot be fetched (packages rustc-web, rust-web-src, wasi-libc)" "$advice"
    # The compiler's own library, then its LLVM: their names carry versions, so the packages that need them tell them.
    local deb need
    for _ in library llvm; do
        for need in $(for deb in "$work"/debs/*.deb; do dpkg-deb -f "$deb" Depends; done | tr ',' '\n' |
            sed -n 's/^ *\(libllvm[0-9.]*\|libstd-rust-web-[0-9][0-9.]*\)\( .*\)\{0,1\}$/\1/p' | sort -u); do
            compgen -G "$work/debs/${need}_*.deb" >/dev/null && continue
            (cd "$work/debs" && apt-get download -qq "$need" >&2) || fail "Debian's package $need cannot be fetched" "$advice"
        done
    done
    for deb in "$work"/debs/*.deb; do
        dpkg-deb -x "$deb" "$work/unpacked"
    done
    rm -rf "$work/debs"
    cat >"$work/rustc" <<'RUSTC'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH=$(echo "$here"/unpacked/usr/lib/*-linux-gnu) exec "$here/unpacked/usr/bin/rustc" "$@"
RUSTC
    chmod +x "$work/rustc"
    "$work/rustc" -vV >/dev/null || fail "Debian's Rust for WASM does not run on this machine" "$advice"
    # Another machine's build over a shared folder may have been faster: then its result is as good.
    mv -T "$work" "$cache" 2>/dev/null || [ -x "$cache/rustc" ] || fail "cannot put the toolchain into $cache"
    trap - EXIT
    rm -rf "$work"
}

build_installed() {
    exec cargo build --release --target "$target" "$@"
}

# The linkers are those of the toolchain in use; compiler and library must be of one version, so both are Debian's.
build_debian() {
    local sysroot host bin libc
    sysroot=$(rustc --print sysroot)
    host=$(rustc -vV | sed -n 's/^host: //p')
    bin=$sysroot/lib/rustlib/$host/bin
    libc=$cache/unpacked/usr/lib/wasm32-wasi
    [ -x "$bin/wasm-component-ld" ] && [ -x "$bin/gcc-ld/wasm-ld" ] ||
        fail "the Rust toolchain in use brings no wasm-component-ld: install Rust by rustup" "$advice"
    export RUSTC=$cache/rustc RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_WASM32_WASIP2_LINKER=$bin/wasm-component-ld
    export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="-Clinker-flavor=wasm-ld -Clink-arg=--wasm-ld-path=$bin/gcc-ld/wasm-ld \
-Clink-self-contained=no -Lnative=$libc -Clink-arg=-L$libc"
    # The toolchain's own cargo: rustup's stand-in would set the library path of its compiler.
    exec "$sysroot/bin/cargo" build --release -Z build-std=std,panic_abort --target "$target" "$@"
}

advice="install it for the Rust toolchain in use: rustup target add $target"
command -v cargo >/dev/null && command -v rustc >/dev/null || fail "Rust is missing: install it by rustup" "$advice"
case $way in
    '')
        if installed; then
            build_installed "$@"
        fi
        debian_can || fail "the Rust toolchain in use has no standard library for $target" "$advice"
        ;;
    installed)
        installed || fail "the Rust toolchain in use has no standard library for $target" "$advice"
        build_installed "$@"
        ;;
    debian)
        debian_can || fail "LONGSHORE_GUEST_STD=debian takes apt-get and dpkg-deb, which this machine does not have" "$advice"
        ;;
    *) fail "LONGSHORE_GUEST_STD is installed or debian, not $way" ;;
esac
if [ ! -x "$cache/rustc" ]; then
    fetch_debian
    exec 9>&-
fi
build_debian "$@"
