#!/bin/bash
# No mutable file-level state in what was built.
# test: quick
exec tools/check-layers state "$O"
