# A host's disk that hangs or fails (tests/boot/preload): preloaded into umbra by tests, never
# installed. It goes without the sanitizers, which want to be loaded before it.
SLOW_DISK := $(O)/tests/boot/slow_disk.so
TEST_DEPS += $(SLOW_DISK)

$(SLOW_DISK): tests/boot/preload/slow_disk.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(filter-out $(SAN),$(CFLAGS)) -fPIC -shared -o $@ $<
