# The commands for people. `make help` lists them.

ARCH      := $(shell uname -m)
MUSL      := $(ARCH)-unknown-linux-musl
AGENT     := target/$(MUSL)/agent/banger-vsock-agent
# Built with the workspace: `cargo run -p xtask` would build what it uses once more, with other features.
XTASK     := target/debug/xtask
# What `make install` installs: the programs and the agent, as they were built.
BUILT      = target/release
PREFIX    ?= $(if $(filter 0,$(shell id -u)),/usr/local,$(HOME)/.local)
DESTDIR   ?=
SHARE      = $(DESTDIR)$(PREFIX)/share

# Firecracker's scenarios need a kernel that this host's KVM can run. Beside a checkout there may be one.
TEST_KERNEL_ZST := $(wildcard ../shared/kvm-pvm/vmlinux-6.12-r3.zst)
TEST_KERNEL     := target/e2e/vmlinux-test
ifneq ($(TEST_KERNEL_ZST),)
BANGER_TEST_KERNEL ?= $(CURDIR)/$(TEST_KERNEL)
# It runs under KVM-PVM, without features of KVM's that the host does not have. It keeps no AVX registers across a
# switch of tasks, but programs see that the processor has them: about one process in a thousand went wrong here, also
# under bare Firecracker, until the C library did without. Go's programs have a switch of their own.
NO_AVX := GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX2,-AVX,-AVX512F,-AVX512VL,-AVX512BW \
	GODEBUG=cpu.all=off
BANGER_TEST_KERNEL_APPEND ?= no-kvmapf no-steal-acc $(NO_AVX) $(addprefix systemd.setenv=,$(NO_AVX))
endif
export BANGER_TEST_KERNEL BANGER_TEST_KERNEL_APPEND

.PHONY: help build agent release sandbox test test-quick test-as-user test-binaries check bench install install-built uninstall \
        clean setup-build setup-quick setup-test setup-sandbox test-kernel generic-kernel

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: setup-build release ## Build banger, bangerd and the guest agent

sandbox: setup-sandbox release ## Open a shell in a VM with this checkout (CMD="..." runs a command)
	@scripts/sandbox.sh

test: setup-test test-binaries test-kernel ## Install missing packages, and run every test, with VMs that really boot
	@$(XTASK) test
	@$(XTASK) bench security.cases

test-quick: setup-quick ## Run the tests for every edit: units, the core, and scenarios with the fake backend
	cargo build --workspace --bins
	@$(XTASK) test --quick

test-as-user: setup-test test-binaries test-kernel ## Run the scenarios as an ordinary user, which is created for root
	@scripts/test-as-user.sh $(NAMES)

check: setup-build ## Check format, clippy (warnings are errors), dependency direction, generated pages, figures, licenses, docs
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo build --quiet --workspace --bins
	@$(XTASK) arrows
	@$(XTASK) configuration --check
	@$(XTASK) environment
	@$(XTASK) figures
	@$(XTASK) licences
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; \
	else echo 'check: no cargo-deny: `scripts/setup.sh deny` installs it, for duplicates and advisories'; fi
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

bench: setup-test release test-kernel ## Measure the figures, to target/bench/figures.jsonl (NAMES="..." for some)
	cargo build --release -p banger-vsock-agent --bin banger-fake-guest
	cargo build --release -p banger-e2e --bin banger-hostile-guest
	cargo run --quiet --release -p xtask -- bench $(NAMES)

generic-kernel: ## Build generic-6.12, a guest kernel with everything built in (ARGS="--out DIR ...")
	@scripts/make-generic-kernel.sh $(ARGS)

install: build ## Install to PREFIX (default /usr/local for root, else ~/.local)
	@$(MAKE) --no-print-directory install-built

# Installs what BUILT and AGENT name, without building.
install-built:
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/lib/banger"
	install -m 755 $(BUILT)/banger $(BUILT)/bangerd $(BUILT)/banger-root "$(DESTDIR)$(PREFIX)/bin/"
	install -m 755 $(AGENT) "$(DESTDIR)$(PREFIX)/lib/banger/"
	$(BUILT)/banger man "$(SHARE)/man/man1"
	install -d "$(SHARE)/bash-completion/completions" "$(SHARE)/zsh/site-functions" "$(SHARE)/fish/vendor_completions.d"
	$(BUILT)/banger completion bash > "$(SHARE)/bash-completion/completions/banger"
	$(BUILT)/banger completion zsh > "$(SHARE)/zsh/site-functions/_banger"
	$(BUILT)/banger completion fish > "$(SHARE)/fish/vendor_completions.d/banger.fish"
	@echo "installed banger, bangerd, banger-root, the guest agent, manual pages and completions below $(DESTDIR)$(PREFIX)"

uninstall: ## Remove the installed files
	rm -f "$(DESTDIR)$(PREFIX)/bin/banger" "$(DESTDIR)$(PREFIX)/bin/bangerd" "$(DESTDIR)$(PREFIX)/bin/banger-root"
	rm -f "$(DESTDIR)$(PREFIX)/lib/banger/banger-vsock-agent"
	-rmdir "$(DESTDIR)$(PREFIX)/lib/banger" 2>/dev/null
	rm -f "$(SHARE)"/man/man1/banger.1 "$(SHARE)"/man/man1/banger-*.1
	rm -f "$(SHARE)/bash-completion/completions/banger" "$(SHARE)/zsh/site-functions/_banger"
	rm -f "$(SHARE)/fish/vendor_completions.d/banger.fish"

clean: ## Remove all build results
	cargo clean

release: agent
	cargo build --release -p banger -p bangerd -p banger-root

agent:
	cargo build --profile agent --target $(MUSL) -p banger-vsock-agent --bin banger-vsock-agent

# What the scenarios of e2e/ run: the programs as a developer builds them, and the agent as it ships.
test-binaries: agent
	cargo build --workspace --bins

test-kernel: $(if $(TEST_KERNEL_ZST),$(TEST_KERNEL))

$(TEST_KERNEL): $(TEST_KERNEL_ZST)
	@mkdir -p $(@D)
	zstd -q -d -f $< -o $@

setup-build setup-quick setup-test setup-sandbox: setup-%:
	@scripts/setup.sh $*
