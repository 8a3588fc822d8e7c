# The memory benchmark: a bare 64-bit guest (tests/bench/mmu_guest) and a Linux program.
MMU_GUEST       := $(O)/guests/mmu/guest.elf
MMU_GUEST_FLAGS  = -m64 $(GUEST_FLAGS) -O2 -march=x86-64 -mno-red-zone -std=gnu11 $(WARN)
MMU_GUEST_OBJS  := $(patsubst tests/bench/mmu_guest/%,$(O)/guests/mmu/%.o, \
                     $(sort $(wildcard tests/bench/mmu_guest/*.c tests/bench/mmu_guest/*.S)))
TEST_DEPS       += $(MMU_GUEST)

$(O)/guests/mmu/%.o: tests/bench/mmu_guest/% tests/bench/mmu_guest/guest.h
	@mkdir -p $(@D)
	$(call say,CC,$@)$(ROM_CC) $(MMU_GUEST_FLAGS) -c -o $@ $<

# Multiboot takes 32-bit ELF files; what is in them may be 64-bit code.
$(MMU_GUEST): $(MMU_GUEST_OBJS) tests/bench/mmu_guest/guest.lds
	$(call say,LD,$@)$(ROM_LD) -m elf_x86_64 -nostdlib -static --build-id=none --no-warn-rwx-segments \
	    -z max-page-size=4096 -z noexecstack -T tests/bench/mmu_guest/guest.lds -o $@.64 $(filter %.o,$^)
	@$(ROM_OBJCOPY) -I elf64-x86-64 -O elf32-i386 $@.64 $@

.PHONY: bench-mmu
bench-mmu: ## measure memory virtualization: EPT against shadow page tables
	tools/setup bench
	$(MAKE) all $(MMU_GUEST)
	tools/fetch-guests cloud
	tools/make-initramfs amd64
	tools/bench-mmu $(O)
