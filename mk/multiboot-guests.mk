# The multiboot guest (tests/guests/multiboot), as an ELF32 kernel and as a flat one whose header
# tells the addresses.
MULTIBOOT_FLAGS   = -m32 $(ROM_FLAGS) -std=gnu11 $(filter-out -Wmissing-prototypes,$(WARN))
MULTIBOOT_DIR    := $(O)/guests/multiboot
MULTIBOOT_GUESTS := $(MULTIBOOT_DIR)/guest.elf $(MULTIBOOT_DIR)/guest.flat
TEST_DEPS        += $(MULTIBOOT_GUESTS)

$(MULTIBOOT_DIR)/check.o: tests/guests/multiboot/check.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(ROM_CC) $(MULTIBOOT_FLAGS) -c -o $@ $<

$(MULTIBOOT_DIR)/entry.elf.o: MULTIBOOT_DEFINE :=
$(MULTIBOOT_DIR)/entry.flat.o: MULTIBOOT_DEFINE := -DKLUDGE
$(MULTIBOOT_DIR)/entry.%.o: tests/guests/multiboot/entry.S
	@mkdir -p $(@D)
	$(call say,CC,$@)$(ROM_CC) $(MULTIBOOT_FLAGS) $(MULTIBOOT_DEFINE) -c -o $@ $<

$(MULTIBOOT_DIR)/linked.%: $(MULTIBOOT_DIR)/entry.%.o $(MULTIBOOT_DIR)/check.o tests/guests/multiboot/guest.lds
	$(call say,LD,$@)$(ROM_LD) -m elf_i386 -nostdlib -static --build-id=none --no-warn-rwx-segments \
	    -T tests/guests/multiboot/guest.lds -o $@ $(filter %.o,$^)

$(MULTIBOOT_DIR)/guest.elf: $(MULTIBOOT_DIR)/linked.elf
	@cp $< $@

$(MULTIBOOT_DIR)/guest.flat: $(MULTIBOOT_DIR)/linked.flat
	@$(ROM_OBJCOPY) -O binary -j .text -j .data $< $@
