#!/bin/bash
# Each row of trace.def has an emitter: an event that nothing emits tells its user nothing.
# test: quick
set -uo pipefail
bad=0
while read -r name; do
    # An emitter names the event in trace(), or asks for it by its number and prints it itself.
    grep -rqE "\btrace\($name,|\bTRACE_$name\b" --include='*.[ch]' src ||
        { echo "src/base/trace.def: nothing emits $name" && bad=1; }
done < <(sed -nE 's/^TRACE_EVENT\((\w+),.*/\1/p' src/base/trace.def)
exit $bad
