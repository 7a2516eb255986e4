#!/bin/sh
# Make .venv with everything in requirements.lock. Needs only Python 3.11 or newer; on Debian, as root,
# it installs the system packages it needs, otherwise it says which ones are missing.
set -eu
cd "$(dirname "$0")/.."

# What the practice hosts and the tests use, and the program that shows it is there.
need_packages() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    command -v systemd-nspawn >/dev/null 2>&1 || echo systemd-container
    command -v mmdebstrap >/dev/null 2>&1 || echo mmdebstrap
    command -v ssh-keyscan >/dev/null 2>&1 || echo openssh-client
    [ -x /usr/sbin/sshd ] || echo openssh-server
    command -v sudo >/dev/null 2>&1 || echo sudo
    command -v ip >/dev/null 2>&1 || echo iproute2
    command -v nft >/dev/null 2>&1 || [ -x /usr/sbin/nft ] || echo nftables
    command -v mkfs.ext4 >/dev/null 2>&1 || [ -x /usr/sbin/mkfs.ext4 ] || echo e2fsprogs
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
    [ -d /usr/lib/postgresql ] || echo postgresql
    [ -x /usr/bin/swift-proxy-server ] || echo swift-proxy swift-account swift-container swift-object
    # What the example services are installed and built with (npm 9 or later, Go 1.19 or later).
    command -v node >/dev/null 2>&1 || echo nodejs
    command -v npm >/dev/null 2>&1 || echo npm
    command -v go >/dev/null 2>&1 || [ -x /usr/local/go/bin/go ] || echo golang-go
    command -v memcached >/dev/null 2>&1 || echo memcached
    # Builds on the controller run in it.
    command -v bwrap >/dev/null 2>&1 || echo bubblewrap
    # What pages of other origins are tried with.
    command -v chromium >/dev/null 2>&1 || echo chromium
    # What `make bench-redeploy` compares with.
    command -v rsync >/dev/null 2>&1 || echo rsync
    [ -d /etc/ssl/certs ] && [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
}

missing=$(need_packages | tr '\n' ' ')
if [ -n "${missing% }" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "bootstrap: installing $missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        # Services that a package would start are not wanted: tests start their own on loopback.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            printf '#!/bin/sh\nexit 101\n' > $policy
            chmod 755 $policy
            trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        fi
        # shellcheck disable=SC2086
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "bootstrap: install these packages first (Debian names): $missing" >&2
        echo "bootstrap: for example: sudo apt-get install --no-install-recommends $missing" >&2
        exit 2
    fi
fi

stamp=.venv/.installed
wanted=$(cat requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)
if [ "$(cat $stamp 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi
[ -x .venv/bin/python ] || python3 -m venv .venv
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet uv
export UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV="$PWD/.venv"
# Compiled once here rather than at every start where bytecode may not be written.
.venv/bin/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
echo "$wanted" > $stamp
