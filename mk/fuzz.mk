# Fuzz targets: tests/fuzz/fuzz_NAME.c becomes $(O)/fuzz/fuzz_NAME, linked with libraries that are
# built once more below $(O)/fuzz, with coverage and sanitizers. They need clang, whatever $(CC) is.
.PHONY: fuzz fuzz-libs

FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(O)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SAN     := -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_LIBS    := $(filter-out $(O)/fuzz/libcmd.a,$(LAYERS:%=$(O)/fuzz/lib%.a))

fuzz: fuzz-libs $(FUZZ_TARGETS) $(O)/fuzz/make_seeds ## build the fuzz targets (they need clang)

# The same Makefile, another output folder.
fuzz-libs:
	$(MAKE) O=$(O)/fuzz CC=clang OPT=-O1 SAN="$(FUZZ_SAN) -fsanitize=fuzzer-no-link" $(FUZZ_LIBS)

$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c fuzz-libs
	$(call say,FUZZ,$@)clang $(CPPFLAGS) -I$(O)/fuzz/gen $(filter-out -O2 $(SAN),$(CFLAGS)) -O1 $(FUZZ_SAN) \
	    -fsanitize=fuzzer -o $@ $< -Wl,--start-group $(FUZZ_LIBS) -Wl,--end-group $(LDLIBS)

$(O)/fuzz/make_seeds: tests/fuzz/make_seeds.c tests/samples.h
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<
