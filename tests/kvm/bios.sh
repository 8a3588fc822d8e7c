#!/bin/bash
# test: timeout=300
# The BIOS tests on this host's KVM, be it a slow one: all that a real-mode guest sees, the A20 gate
# among it, is as on the soft engine.
set -euo pipefail

[ -e /dev/kvm ] || { echo "this host has no /dev/kvm" && exit 77; }
[[ -r /dev/kvm && -w /dev/kvm ]] || { echo "no permission for /dev/kvm" && exit 77; }
exec tests/mmu_modes/again -c "--engine kvm" tests/guests/bios/umbra.sh
