#!/bin/bash
# Instructions compared with the host processor: the same hundred thousand cases each time.
# test: quick timeout=120
exec "$O/tests/diff/diff" --seed 1 --count 100000
