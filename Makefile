# Paths are relative, so that a checkout may lie in a folder whose name has a space.

PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip --quiet --disable-pip-version-check
WITH_VENV := PATH="$$PWD/.venv/bin:$$PATH"
UV_COMPILE := .venv/bin/uv pip compile --quiet --universal --no-header --no-annotate --python-version 3.11

# Three share a processor, for tests wait, too. Each has services and a browser of its own, hence the limit.
WORKERS = $(shell processors=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); echo $$((processors < 3 ? 3 * processors : 8)))

JS_TESTS := tests/e2e/js
JS_TESTS_INSTALLED := $(JS_TESTS)/node_modules/.package-lock.json
JS_CLIENT := clients/js
JS_CLIENT_INSTALLED := $(JS_CLIENT)/node_modules/.package-lock.json
JS_CLIENT_BUILT := $(JS_CLIENT)/dist/.built
JS_CLIENT_CHECKED := $(JS_CLIENT)/node_modules/.checked
JS_CLIENT_SOURCES := $(wildcard $(JS_CLIENT)/*.js* $(JS_CLIENT)/.prettier* $(JS_CLIENT)/src/*.ts)

WEB := clients/web
WEB_INSTALLED := $(WEB)/node_modules/.package-lock.json
WEB_BUILT := $(WEB)/dist/.built
WEB_CHECKED := $(WEB)/node_modules/.checked
WEB_SOURCES := $(wildcard $(WEB)/*.* $(WEB)/.prettier*) $(shell find $(WEB)/src $(WEB)/public -type f)

EXAMPLES := clients/examples
EXAMPLES_INSTALLED := $(EXAMPLES)/node_modules/.package-lock.json
EXAMPLES_CHECKED := $(EXAMPLES)/node_modules/.checked
EXAMPLES_SOURCES := $(wildcard $(EXAMPLES)/*.* $(EXAMPLES)/.prettier*) $(shell find $(EXAMPLES)/src -type f)
NPM_CI := npm ci --silent --no-audit --no-fund --prefix

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the commands.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

.PHONY: install
install: .venv/runtime ## Install what the server and the Python client need, into .venv.

.PHONY: run
run: install ## Start the server with demo users on http://localhost:8000 (HOST and PORT change that).
	@if ! clients/install_node.sh --check; then echo "The page at / is not built, for want of Node 20.19 or newer: 'make web' gets Node and builds it."; \
	elif ! $(MAKE) --no-print-directory web; then echo "The page at / is not built: 'make web' tries it again."; fi
	@$(PYTHON) -m server migrate
	@$(PYTHON) -m server demo --if-empty
	@exec $(PYTHON) -m server serve

.PHONY: web
web: $(WEB_BUILT) ## Build the web client, which the server shows at /.

.PHONY: test
test: .venv/dev services $(JS_TESTS_INSTALLED) $(WEB_BUILT) $(EXAMPLES_INSTALLED) ## Run the tests; ARGS="tests/unit -k rooms" chooses some.
	@$(WITH_VENV) PYTHONDONTWRITEBYTECODE= python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: model
model: .venv/dev services ## Hold delivery against its model at length: 500 histories on each database.
	@$(WITH_VENV) MODEL_RUNS=500 python -m pytest -n 2 tests/integration/realtime/test_delivery_model.py $(ARGS)

.PHONY: check
check: .venv/dev $(JS_CLIENT_CHECKED) $(WEB_CHECKED) $(EXAMPLES_CHECKED) ## Lint, check the format, the types, the layers and the docs.
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	@$(WITH_VENV) lint-imports
	$(PYTHON) -m mkdocs build --quiet --strict

.PHONY: docs
docs: .venv/dev ## Build the docs into site/, with the pictures that the last tests made.
	@mkdir -p docs/screenshots var/screenshots
	@find var/screenshots -name '*.png' ! -name 'failed-*' -exec cp {} docs/screenshots/ \;
	$(PYTHON) -m mkdocs build --quiet --strict

.PHONY: bench
bench: .venv/dev services node $(WEB_BUILT) ## Run the benchmarks.
	@$(WITH_VENV) python -m benchmarks $(ARGS)

.PHONY: chaos
chaos: .venv/dev services $(JS_TESTS_INSTALLED) ## Inject faults for seven minutes, and check every promise; ARGS=--short takes one.
	@$(WITH_VENV) python -m server chaos $(ARGS)

.PHONY: lock
lock: .venv/made ## Pin requirements*.in anew; UPGRADE=--upgrade takes newer versions.
	@$(PIP) install uv
	$(UV_COMPILE) $(UPGRADE) requirements.in -o requirements.txt
	$(UV_COMPILE) $(UPGRADE) requirements-dev.in -o requirements-dev.txt

.PHONY: services
services: .venv/made
	@tests/install_services.sh

.PHONY: node
node: .venv/made
	@clients/install_node.sh

# Python is chosen by running it: a name on PATH may be a shim that refuses, too old, or one that cannot fill a venv.
# The system's comes first: distributions build it with profiles, and one compiled without took 1.8 times as long.
# Debian ships venv without ensurepip; the pip outside then installs one into the venv.
.venv/made: export FIT = from importlib.util import find_spec; import sys; \
	sys.exit(sys.version_info < (3, 11) or not (find_spec("ensurepip") or find_spec("pip")))
.venv/made:
	@for candidate in /usr/bin/python3 python3.13 python3.12 python3.11 python3 python; do \
		if "$$candidate" -c "$$FIT" 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed, and none was found." >&2; exit 1; fi; \
	echo "Making .venv with $$("$$python" --version)"; \
	"$$python" -m venv --clear .venv >/dev/null 2>&1 || { \
		"$$python" -m venv --clear --without-pip .venv && \
		"$$python" -m pip --quiet --python .venv/bin/python install pip; \
	}
	@touch $@

.venv/runtime: .venv/made requirements.txt
	@echo "Installing requirements.txt into .venv"
	@$(PIP) install -r requirements.txt
	@touch $@

.venv/dev: .venv/made requirements-dev.txt
	@echo "Installing requirements-dev.txt into .venv"
	@$(PIP) install -r requirements-dev.txt
	@touch $@

$(JS_TESTS_INSTALLED): $(JS_TESTS)/package.json $(JS_TESTS)/package-lock.json | node
	@$(WITH_VENV) $(NPM_CI) $(JS_TESTS)
	@touch $@

$(JS_CLIENT_INSTALLED): $(JS_CLIENT)/package.json $(JS_CLIENT)/package-lock.json | node
	@$(WITH_VENV) $(NPM_CI) $(JS_CLIENT)
	@touch $@

$(JS_CLIENT_BUILT): $(JS_CLIENT_INSTALLED) $(JS_CLIENT_SOURCES)
	@$(WITH_VENV) npm run --silent --prefix $(JS_CLIENT) build
	@touch $@

$(JS_CLIENT_CHECKED): $(JS_CLIENT_INSTALLED) $(JS_CLIENT_SOURCES) $(wildcard $(JS_CLIENT)/test/*.ts)
	@$(WITH_VENV) npm run --silent --prefix $(JS_CLIENT) check
	@touch $@

# It links to the JavaScript client, whose own packages npm looks for there.
$(WEB_INSTALLED): $(WEB)/package.json $(WEB)/package-lock.json $(JS_CLIENT_INSTALLED) | node
	@$(WITH_VENV) $(NPM_CI) $(WEB)
	@touch $@

$(WEB_BUILT): $(WEB_INSTALLED) $(JS_CLIENT_BUILT) $(WEB_SOURCES)
	@$(WITH_VENV) npm run --silent --prefix $(WEB) build -- --logLevel warn
	@touch $@

$(WEB_CHECKED): $(WEB_INSTALLED) $(JS_CLIENT_BUILT) $(WEB_SOURCES) $(shell find $(WEB)/test -type f)
	@$(WITH_VENV) npm run --silent --prefix $(WEB) check
	@touch $@

$(EXAMPLES_INSTALLED): $(EXAMPLES)/package.json $(EXAMPLES)/package-lock.json $(JS_CLIENT_INSTALLED) | node
	@$(WITH_VENV) $(NPM_CI) $(EXAMPLES)
	@touch $@

$(EXAMPLES_CHECKED): $(EXAMPLES_INSTALLED) $(JS_CLIENT_BUILT) $(EXAMPLES_SOURCES)
	@$(WITH_VENV) npm run --silent --prefix $(EXAMPLES) check
	@touch $@
