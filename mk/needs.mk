# What the build needs is looked for once, before anything is compiled: on a fresh machine make says
# which packages are missing.
$(O)/needs: tools/build-needs tools/setup Makefile
	@mkdir -p $(@D)
	@tools/build-needs "$(CC)" "$(LDLIBS)" "$(ROM_CC)" "$(ROM_LD)" "$(ROM_OBJCOPY)" "$(IASL)" od
	@touch $@
