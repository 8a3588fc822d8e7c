#!/bin/bash
# The same cases, each translated to host code at once.
# test: quick timeout=180
exec "$O/tests/diff/diff" --seed 1 --count 100000 --translate 1
