# Guests that test the processor: tests/guests/cpu/NAME.S becomes $(O)/guests/cpu/NAME.bin, a flat
# binary for 0000:7C00; boot.bin loads one from a disk on other machines.
CPU_GUEST_CC ?= gcc
CPU_GUESTS   := $(patsubst tests/%.S,$(O)/%.bin,$(sort $(wildcard tests/guests/cpu/*.S)))
TEST_DEPS    += $(CPU_GUESTS)

$(O)/guests/cpu/%.bin: tests/guests/cpu/%.S $(wildcard tests/guests/cpu/*.h)
	@mkdir -p $(@D)
	$(CPU_GUEST_CC) -m64 -Itests/guests/cpu -c -o $(@:.bin=.o) $<
	$(ROM_LD) -m elf_x86_64 -nostdlib -static --build-id=none --no-warn-rwx-segments -N -Ttext=0x7c00 \
		-e start -o $(@:.bin=.elf) $(@:.bin=.o)
	$(ROM_OBJCOPY) -O binary -j .text -j .data $(@:.bin=.elf) $@
