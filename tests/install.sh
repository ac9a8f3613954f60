#!/usr/bin/env bash
# Installs what the tests use and this machine lacks, and says what; silent and offline when nothing is missing.
#
#   tests/install.sh                       everything, for `make test`
#   tests/install.sh redis-server nginx    only these, for `make cluster`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin # Debian's nginx, which is not on everybody's path

# Programs that we did not write: Autobahn's conformance cases, a WebSocket library, Django's consumers,
# the library for Centrifugo's server API, and what the tests of Centrifugo's client import; then those tests, which are in its source
# distribution only.
python_packages=(kosoku==0.1.0 websockets==17.4 channels==4.3.2 channels_redis==4.3.0 cent==5.2.0 protobuf==7.36.2 hatchling==1.33.0)
python_sources=(centrifuge-python==0.7.0)
venv=target/venv
# What checks the types of our client library; Centrifugo's client, and what it needs of a browser.
npm_packages=(typescript@5.9.3 centrifuge@5.8.0 ws@8.18.3 eventsource@2.0.2)
npm=target/npm

# Whether the thing that a Debian package brings is there, from wherever it came.
present() {
    case $1 in
        redis-server | nginx | chromium | shellcheck) command -v "$1" ;;
        chromium-driver) command -v chromedriver ;;
        fonts-noto-cjk) fc-list :lang=zh | grep . ;;
        npm) command -v npm ;;
        nodejs) node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ;;
        python3-venv) python3 -c 'import ensurepip, venv' ;;
        libfaketime) compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' ;;
    esac >/dev/null 2>&1
}

as_root=()
[[ $EUID == 0 ]] || as_root=(sudo)

# Debian starts a server right after installing it, and again at every boot; the tests start their
# own. `RUNLEVEL=1` keeps SysV scripts quiet, a mask until the end of this script systemd's units.
install_packages() {
    local package
    command -v apt-get >/dev/null || { echo "missing: $*; install them (these are Debian's names)" >&2 && exit 1; }
    echo "missing on this machine, installing by ${as_root[*]:+${as_root[*]} }apt-get: $*"

    units=()
    for package in "$@"; do
        if [[ -d /run/systemd/system && $package =~ ^(redis-server|nginx)$ ]]; then units+=("$package.service"); fi
    done
    if ((${#units[@]})); then
        trap '"${as_root[@]}" systemctl unmask --runtime --quiet "${units[@]}"' EXIT
        "${as_root[@]}" systemctl mask --runtime --quiet "${units[@]}" 2>/dev/null # they do not exist yet
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null
    ((${#units[@]} == 0)) || "${as_root[@]}" systemctl disable --quiet "${units[@]}"
}

wanted=("$@")
(($#)) || wanted=(redis-server nginx chromium chromium-driver fonts-noto-cjk nodejs npm python3-venv libfaketime)
missing=()
for package in "${wanted[@]}"; do
    present "$package" || missing+=("$package")
done
((${#missing[@]} == 0)) || install_packages "${missing[@]}"
if [[ " ${wanted[*]} " == *" nodejs "* ]] && ! present nodejs; then
    echo "tests/browser needs Node.js 20 or later, and this system's package is older: install it" >&2
    exit 1
fi
(($# == 0)) || exit 0

# Written last, so that a half-made one is made again; the link to its Python breaks when that goes.
if [[ ! -x $venv/bin/python || $(cat "$venv/packages" 2>/dev/null) != "${python_packages[*]} ${python_sources[*]}" ]]; then
    echo "installing into $venv by pip: ${python_packages[*]} ${python_sources[*]}"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}"
    mkdir "$venv/sources"
    "$venv/bin/pip" download --quiet --disable-pip-version-check --dest "$venv/sources" \
        --no-deps --no-binary :all: --no-build-isolation "${python_sources[@]}"
    for archive in "$venv/sources/"*.tar.gz; do tar --extract --file "$archive" --directory "$venv/sources"; done
    echo "${python_packages[*]} ${python_sources[*]}" >"$venv/packages"
fi

if [[ $(cat "$npm/packages" 2>/dev/null) != "${npm_packages[*]}" ]]; then
    echo "installing into $npm by npm: ${npm_packages[*]}"
    rm -rf "$npm" && mkdir -p "$npm"
    npm install --prefix "$npm" --silent --no-audit --no-fund "${npm_packages[@]}" >/dev/null
    echo "${npm_packages[*]}" >"$npm/packages"
fi
