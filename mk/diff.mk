# The differential test: instructions compared with the host processor (tests/diff).
DIFF_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/diff/*.c)))

$(DIFF_OBJS): CPPFLAGS += -Itests/diff

$(O)/tests/diff/diff: $(DIFF_OBJS) $$(patsubst %,$(O)/lib%.a,$$(below_engine))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(DIFF_OBJS) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

TEST_DEPS += $(O)/tests/diff/diff
