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
