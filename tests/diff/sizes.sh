#!/bin/bash
# No instruction reaches behind its operand in memory: stubs stay inside guest memory.
# test: quick timeout=60
exec "$O/tests/diff/diff" --sizes
