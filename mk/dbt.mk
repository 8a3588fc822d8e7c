# The random test of the translator (tests/dbt): programs run interpreted and translated.
DBT_TEST_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/dbt/*.c))) $(O)/obj/tests/dbt/kernel.o

$(DBT_TEST_OBJS): CPPFLAGS += -Itests -Itests/dbt

$(O)/obj/tests/dbt/%.o: tests/dbt/%.S tests/dbt/layout.h
	@mkdir -p $(@D)
	$(call say,AS,$@)$(CC) $(CPPFLAGS) -c -o $@ $<

$(O)/dbt/random_programs: $(DBT_TEST_OBJS) $$(patsubst %,$(O)/lib%.a,$$(below_engine))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(DBT_TEST_OBJS) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

TEST_DEPS += $(O)/dbt/random_programs

# The same for segments of every kind in 32-bit code (tests/dbt/segments).
DBT_SEGMENT_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/dbt/segments/*.c))) $(O)/obj/tests/dbt/code.o

$(DBT_SEGMENT_OBJS): CPPFLAGS += -Itests

$(O)/dbt/random_segments: $(DBT_SEGMENT_OBJS) $$(patsubst %,$(O)/lib%.a,$$(below_engine))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $(DBT_SEGMENT_OBJS) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)

TEST_DEPS += $(O)/dbt/random_segments
