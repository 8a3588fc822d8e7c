# Umbra's build. `make help` lists the targets. Everything generated lands below $(O).
O        ?= build
CC       ?= gcc
OPT      ?= -O2
SAN      ?=
WARN     := -Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
            -Wpointer-arith -Wwrite-strings -Wundef -Wno-unused-parameter
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(O)/gen
CFLAGS   += -std=gnu11 -g $(OPT) $(WARN) -fno-strict-aliasing -fno-common -fwrapv \
            -fstack-protector-strong -pthread $(SAN)
LDFLAGS  += -pthread $(SAN)
LDLIBS   += -lZydis -lZycore

# Archives in link order: a layer may use only what stands to its right (tools/layers checks it).
LAYERS   := cmd vm engine dev fw mmu x86 mem base
LIBS     := $(LAYERS:%=$(O)/lib%.a)

sources   = $(sort $(shell find src/$(1) -name '*.c' -not -path 'src/fw/rom/*' -not -path 'src/fw/demo/*' 2>/dev/null))
objects   = $(patsubst %.c,$(O)/obj/%.o,$(call sources,$(1)))

.DEFAULT_GOAL := all
.SECONDARY:
.SUFFIXES:
.PHONY: all clean help

all: $(O)/umbra ## build build/umbra

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t16

$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define layer_archive
$(O)/lib$(1).a: $(call objects,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_archive,$(l))))

$(O)/umbra: $(LIBS)
	$(CC) $(LDFLAGS) -o $@ -Wl,--start-group $(LIBS) -Wl,--end-group $(LDLIBS)

# Unit tests: tests/unit/LAYER/test_NAME.c becomes $(O)/tests/unit/LAYER/test_NAME.
UNIT_TESTS := $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/unit/*/test_*.c)))
unit_libs   = $(wordlist $(1),9,$(LIBS))

$(O)/tests/unit/%: $(O)/obj/tests/unit/%.o $$(UNIT_DEPS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(UNIT_DEPS) -Wl,--end-group $(LDLIBS) -lcmocka
.SECONDEXPANSION:
UNIT_DEPS = $(filter-out $(O)/libcmd.a,$(LIBS))

unit: $(UNIT_TESTS) ## build and run the unit tests
	@set -e; for t in $^; do $$t; done

clean: ## remove what was built
	rm -rf $(O)

-include mk/*.mk
-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
