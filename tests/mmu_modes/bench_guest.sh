#!/bin/bash
# test: quick timeout=240
# The memory benchmark's guest checks every value that it reads: each of its workloads passes in each
# configuration of memory virtualization. Their times are tools/bench-mmu's business.
set -uo pipefail
guest=$O/guests/mmu/guest.elf
umbra=("$UMBRA" run "$guest" --memory 256M --timeout 30)
PASS=33
failed=0

mapfile -t workloads < <("${umbra[@]}" --append list 2>/dev/null </dev/null)
[ ${#workloads[@]} -gt 20 ] || { echo "the guest lists only ${#workloads[@]} workloads" && exit 1; }
for options in "--mmu ept" "--mmu shadow" "--mmu shadow --shadow-pages 64"; do
    for workload in "${workloads[@]}"; do
        read -ra more <<<"$options"
        said=$("${umbra[@]}" "${more[@]}" --append "$workload" 2>&1 </dev/null)
        status=$?
        if [ $status -ne $PASS ] || ! grep -qE '^(bench|skip) ' <<<"$said"; then
            echo "$workload $options: status $status"
            tail -n 5 <<<"$said"
            failed=1
        fi
    done
done
exit $failed
