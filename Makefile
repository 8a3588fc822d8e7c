# Umbra's build. `make help` lists the targets. Everything generated lands below $(O).
# The longer recipes stand in mk/ (one file a subject) and in tools/.
O        ?= build
OPT      ?= -O2
SAN      ?=
ifeq ($(origin CC),default)
CC       := gcc
endif
# All processors work, unless -j says otherwise.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

WARN     := -Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
            -Wpointer-arith -Wwrite-strings -Wundef -Wno-unused-parameter
CPPFLAGS += -D_GNU_SOURCE -Isrc -I$(O)/gen
CFLAGS   += -std=gnu11 -g $(OPT) $(WARN) -fno-strict-aliasing -fno-common -fwrapv \
            -fstack-protector-strong -pthread $(SAN)
LDFLAGS  += -pthread $(SAN)
LDLIBS   += -lZydis -lZycore -ljansson -lseccomp

# Archives in link order: a layer may use only what stands to its right (tools/check-layers).
LAYERS   := cmd vm engine dev fw mmu x86 mem base
LIBS     := $(LAYERS:%=$(O)/lib%.a)

# Sources of a layer; the guest code in the ROM and the demo has rules of its own (mk/rom.mk).
sources   = $(sort $(shell find src/$(1) -name '*.c' -not -path 'src/fw/rom/*' -not -path 'src/fw/demo/*' 2>/dev/null))
objects   = $(patsubst %.c,$(O)/obj/%.o,$(call sources,$(1)))

# One short line a step; V=1 shows the commands.
ifeq ($(V),)
say       = @printf '  %-4s %s\n' $(1) $(2);
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
.SECONDEXPANSION:
.PHONY: all clean help

all: $(O)/umbra ## build build/umbra (CC=clang, O=DIR, OPT=-Og and SAN=-fsanitize=... work)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t12

# A thread's stack may be small (ulimit -s): large buffers live on the heap. Sanitizers widen frames.
ifeq ($(SAN),)
$(O)/obj/src/%.o: CFLAGS += -Wframe-larger-than=16384
endif

$(O)/obj/%.o: %.c | $(O)/needs
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# A layer's archive; a fragment in mk/ may add further objects to its prerequisites.
define layer_archive
$(O)/lib$(1).a: $(call objects,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR,$$@)ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_archive,$(l))))

$(O)/umbra: $(LIBS)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ -Wl,--start-group $^ -Wl,--end-group $(LDLIBS)

clean: ## remove what was built (the fetched guests stay in cache/)
	rm -rf $(O)

include $(sort $(wildcard mk/*.mk))
-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
