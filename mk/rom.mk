# Guest code: the BIOS (src/fw/rom) and the embedded guest (src/fw/demo), and the flat guests that
# test them (tests/guests/bios). A gcc builds it, whatever CC is.
ROM_CC      ?= gcc
ROM_LD      ?= ld
ROM_OBJCOPY ?= objcopy
GUEST_FLAGS := -Isrc -Os -mgeneral-regs-only -ffreestanding -fno-builtin -fno-pic -fno-pie \
               -fno-stack-protector -fno-asynchronous-unwind-tables -fno-jump-tables \
               -fcf-protection=none -fno-strict-aliasing -fwrapv \
               -fno-tree-loop-distribute-patterns -Wa,--noexecstack
ROM_FLAGS   := $(GUEST_FLAGS) -march=i386 -mtune=i686 -fomit-frame-pointer
ROM_CFLAGS  := -m16 $(ROM_FLAGS) -mregparm=3 -std=gnu11 $(WARN) -mpreferred-stack-boundary=2

ROM_OBJS := $(patsubst %,$(O)/rom/%.o,$(sort $(wildcard src/fw/rom/*.c src/fw/rom/*.S)))

$(O)/rom/src/fw/rom/%.o: src/fw/rom/% | $(O)/needs
	@mkdir -p $(@D)
	$(call say,CC,$@)$(ROM_CC) $(ROM_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/rom/bios.elf: $(ROM_OBJS) src/fw/rom/rom.lds
	$(call say,LD,$@)$(ROM_LD) -m elf_i386 -nostdlib -static --no-check-sections \
	    --build-id=none -T src/fw/rom/rom.lds -Map $(O)/rom/bios.map -o $@ $(ROM_OBJS)

$(O)/rom/bios.bin: $(O)/rom/bios.elf
	@$(ROM_OBJCOPY) -O binary --gap-fill 0xff $< $@
	@test $$(stat -c %s $@) = 65536 || { echo "the BIOS must have 65536 bytes" >&2; rm -f $@; exit 1; }

# The embedded guest: 16-bit start, then 32-bit and 64-bit code in one flat binary at 7C00h.
DEMO_FLAGS := -m64 $(GUEST_FLAGS) -march=x86-64 -mno-red-zone -std=gnu11 $(WARN)
DEMO_OBJS := $(patsubst %,$(O)/rom/%.o,$(sort $(wildcard src/fw/demo/*.c src/fw/demo/*.S)))

$(O)/rom/src/fw/demo/%.o: src/fw/demo/% | $(O)/needs
	@mkdir -p $(@D)
	$(call say,CC,$@)$(ROM_CC) $(DEMO_FLAGS) -MMD -MP -c -o $@ $<

$(O)/rom/demo.elf: $(DEMO_OBJS) src/fw/demo/demo.lds
	$(call say,LD,$@)$(ROM_LD) -m elf_x86_64 -nostdlib -static --build-id=none \
	    -z max-page-size=16 -T src/fw/demo/demo.lds -Map $(O)/rom/demo.map -o $@ $(DEMO_OBJS)

$(O)/rom/demo.bin: $(O)/rom/demo.elf
	@$(ROM_OBJCOPY) -O binary $< $@

# Bytes for C: src/fw/rom_image.c includes them.
$(O)/gen/rom_%.inc: $(O)/rom/%.bin
	@mkdir -p $(@D)
	@od -An -v -tu1 $< | sed 's/[0-9][0-9]*/&,/g' > $@

$(O)/obj/src/fw/rom_image.o: $(O)/gen/rom_bios.inc $(O)/gen/rom_demo.inc

# Flat real-mode guests that test the BIOS: tests/guests/bios/NAME.S becomes
# $(O)/guests/bios/NAME.bin
$(O)/guests/bios/%.bin: tests/guests/bios/%.S $(wildcard tests/guests/bios/*.h)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(ROM_CC) -m16 $(ROM_FLAGS) -Itests/guests/bios -c -o $(@:.bin=.o) $<
	@$(ROM_LD) -m elf_i386 -nostdlib -static --build-id=none -N --no-warn-rwx-segments \
	    -Ttext=0x7c00 -e start -o $(@:.bin=.elf) $(@:.bin=.o)
	@$(ROM_OBJCOPY) -O binary -j .text -j .data -j .rodata $(@:.bin=.elf) $@

BIOS_GUESTS := $(patsubst tests/%.S,$(O)/%.bin,$(sort $(wildcard tests/guests/bios/*.S)))
TEST_DEPS   += $(O)/rom/bios.bin $(O)/rom/demo.bin $(BIOS_GUESTS)

.PHONY: rom
rom: $(O)/rom/bios.bin $(O)/rom/demo.bin $(BIOS_GUESTS) ## build the guest code: BIOS, embedded guest, tests

-include $(ROM_OBJS:.o=.d) $(DEMO_OBJS:.o=.d)
