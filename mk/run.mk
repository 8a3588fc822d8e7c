# Running, installing, the man page.
.PHONY: run man install

PREFIX ?= /usr/local
prefix ?= $(PREFIX)

run: ## install what is missing, build, fetch Debian's kernel and boot it to a shell
	tools/setup run
	$(MAKE) all
	tools/fetch-guests cloud
	tools/make-initramfs amd64
	@tools/run-guest $(O)/umbra

man: $(O)/umbra.1 ## make the man page

$(O)/umbra.1: docs/umbra.1.scd
	@mkdir -p $(@D)
	@command -v scdoc >/dev/null || { echo "the man page needs scdoc: apt-get install scdoc" >&2; exit 1; }
	scdoc <$< >$@

install: all man ## install the program and its man page below $(DESTDIR)$(PREFIX)
	install -D -m 755 $(O)/umbra $(DESTDIR)$(prefix)/bin/umbra
	install -D -m 644 $(O)/umbra.1 $(DESTDIR)$(prefix)/share/man/man1/umbra.1
