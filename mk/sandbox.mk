# What sandbox.c is made from, and hosts that refuse or make system calls, for tests.
# The names of the host's system calls, for a message: src/vm/sandbox.c includes them.
$(O)/gen/vm/sandbox_names.inc: mk/sandbox.mk
	@mkdir -p $(@D)
	@echo '#include <asm/unistd.h>' | $(CC) -E -dM - | \
	    sed -n 's/^#define __NR_\([a-z0-9_]*\) [0-9]*$$/SANDBOX_NAME(\1)/p' | sort >$@

$(O)/obj/src/vm/sandbox.o: $(O)/gen/vm/sandbox_names.inc

REFUSE    := $(O)/tests/cmd/refuse
TEST_DEPS += $(REFUSE)

$(REFUSE): tests/cmd/refuse/refuse.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CPPFLAGS) $(filter-out $(SAN),$(CFLAGS)) -o $@ $< -lseccomp

# A thread that makes a forbidden call (tests/cmd/forbidden): preloaded, so without the sanitizers.
FORBIDDEN := $(O)/tests/cmd/forbidden.so
TEST_DEPS += $(FORBIDDEN)

$(FORBIDDEN): tests/cmd/forbidden/forbidden.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(filter-out $(SAN),$(CFLAGS)) -fPIC -shared -o $@ $<

# Somebody who cuts a file short while it is read (tests/cmd/cut_file): preloaded likewise.
CUT_FILE  := $(O)/tests/cmd/cut_file.so
TEST_DEPS += $(CUT_FILE)

$(CUT_FILE): tests/cmd/cut_file/cut_file.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(filter-out $(SAN),$(CFLAGS)) -fPIC -shared -o $@ $<
