# The random test of paging (tests/mmu): the soft engine's memory virtualization compared with a
# second walker of the manual's rules.
MMU_TEST_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/mmu/*.c)))

$(MMU_TEST_OBJS): CPPFLAGS += -Itests/mmu

$(O)/mmu/random_paging: $(MMU_TEST_OBJS) $$(patsubst %,$(O)/lib%.a,$$(below_engine))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(MMU_TEST_OBJS) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

TEST_DEPS += $(O)/mmu/random_paging
