# The DSDT: preprocessed (its numbers come from src/fw/dsdt_values.h), compiled by iasl, and turned
# into bytes that src/fw/acpi.c includes.
IASL ?= iasl

$(O)/gen/fw/dsdt.asl: src/fw/dsdt.asl src/fw/dsdt_values.h | $(O)/needs
	@mkdir -p $(@D)
	$(CC) -E -P -x assembler-with-cpp -Isrc -o $@ $<

$(O)/gen/fw/dsdt.aml: $(O)/gen/fw/dsdt.asl
	@$(IASL) -we -vs -p $(basename $@) $< > $(basename $@).log || { cat $(basename $@).log >&2; exit 1; }

$(O)/gen/fw/dsdt.inc: $(O)/gen/fw/dsdt.aml
	od -An -v -tu1 $< | sed 's/[0-9][0-9]*/&,/g' > $@

$(O)/obj/src/fw/acpi.o: $(O)/gen/fw/dsdt.inc
