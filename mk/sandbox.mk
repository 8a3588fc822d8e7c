# The sandbox's library, and a host that refuses system calls (tests/cmd/refuse), for tests.
LDLIBS    += -lseccomp
REFUSE    := $(O)/tests/cmd/refuse
TEST_DEPS += $(REFUSE)

$(REFUSE): tests/cmd/refuse/refuse.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CPPFLAGS) $(filter-out $(SAN),$(CFLAGS)) -o $@ $< -lseccomp
