# The tests. tools/run-tests finds and runs them; here stands what must be built before.
.PHONY: check quick unit lint format bench check-build

# A unit test tests/unit/LAYER/test_NAME.c links with its layer and with those below, no other.
below_base   := base
below_x86    := x86 base
below_mem    := mem base
below_mmu    := mmu x86 mem base
below_engine := engine $(below_mmu)
below_dev    := dev $(below_mmu)
below_fw     := fw $(below_mmu)
below_vm     := vm engine dev fw $(below_mmu)
below_cmd    := cmd $(below_vm)
unit_layer    = $(firstword $(subst /, ,$(1)))
unit_libs     = $(patsubst %,$(O)/lib%.a,$(or $(below_$(call unit_layer,$(1))),$(below_vm)))

UNIT_TESTS   := $(patsubst tests/%.c,$(O)/tests/%,$(sort $(wildcard tests/unit/*/test_*.c)))

# Further programs and images that tests need; each fragment in mk/ adds its own.
TEST_DEPS    ?=

$(O)/tests/unit/%: $(O)/obj/tests/unit/%.o $$(call unit_libs,$$*)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS) -lcmocka

check-build: $(O)/umbra $(UNIT_TESTS) $$(TEST_DEPS)

check: ## set up, build with gcc and clang, run all tests
	tools/setup check
	$(MAKE) O=build CC=gcc check-build
	$(MAKE) O=build-clang CC=clang check-build
	$(MAKE) O=build fuzz
	tools/prepare-guests
	tools/run-tests build build-clang

quick: check-build ## run the short tests: under a minute, no network, no root
	tools/run-tests --quick $(O)

unit: $(UNIT_TESTS) ## run the unit tests
	tools/run-tests --filter /unit/ $(O)

lint: $(LIBS) ## check the layout of the code, the layers, the scripts
	tools/run-tests --filter tests/static/ $(O)

format: ## lay out the code by .clang-format
	find src tests -name guests -prune -o -name '*.[ch]' -exec clang-format -i {} +

bench: ## measure speed and memory beside QEMU's TCG
	tools/setup bench
	$(MAKE) all
	tools/fetch-guests cloud
	tools/make-initramfs amd64
	tools/bench $(O)
