# Fuzz targets: tests/fuzz/fuzz_NAME.c becomes $(O)/fuzz/fuzz_NAME, linked with libraries that are
# built once more below $(O)/fuzz, with coverage and sanitizers. They need clang, whatever $(CC) is.
# What they share, tests/fuzz/guest/, becomes one more library there.
.PHONY: fuzz fuzz-libs

FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(O)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SAN     := -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_LIBS    := $(O)/fuzz/libfuzz.a $(LAYERS:%=$(O)/fuzz/lib%.a)
FUZZ_CC      := clang $(CPPFLAGS) -Itests/fuzz -I$(O)/fuzz/gen $(filter-out -O2 $(SAN),$(CFLAGS)) -O1 $(FUZZ_SAN)
FUZZ_LINK    := -Wl,--start-group $(FUZZ_LIBS) -Wl,--end-group $(LDLIBS)

fuzz: fuzz-libs $(FUZZ_TARGETS) $(O)/fuzz/random_guest $(O)/fuzz/make_seeds ## build the fuzz targets (they need clang)

# The same Makefile, another output folder.
fuzz-libs:
	$(MAKE) O=$(O)/fuzz CC=clang OPT=-O1 SAN="$(FUZZ_SAN) -fsanitize=fuzzer-no-link" $(FUZZ_LIBS)

# Made in that folder only.
$(O)/libfuzz.a: CPPFLAGS += -Itests/fuzz
$(O)/libfuzz.a: $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/fuzz/guest/*.c)))
	@rm -f $@
	$(call say,AR,$@)ar rcs $@ $^

$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c fuzz-libs
	$(call say,FUZZ,$@)$(FUZZ_CC) -fsanitize=fuzzer -o $@ $< $(FUZZ_LINK)

$(O)/fuzz/random_guest: tests/fuzz/random_guest.c fuzz-libs
	$(call say,FUZZ,$@)$(FUZZ_CC) -o $@ $< $(FUZZ_LINK)

$(O)/fuzz/make_seeds: tests/fuzz/make_seeds.c tests/samples.h
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<
