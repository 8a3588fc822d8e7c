# A /dev/kvm that answers as a test wants it (tests/kvm/fake): preloaded into umbra, never installed.
# It goes without the sanitizers, which want to be loaded before it.
FAKE_KVM  := $(O)/tests/kvm/fake_kvm.so
TEST_DEPS += $(FAKE_KVM)

$(FAKE_KVM): tests/kvm/fake/fake_kvm.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CPPFLAGS) $(filter-out $(SAN),$(CFLAGS)) -fPIC -shared -o $@ $<
