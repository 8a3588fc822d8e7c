#!/bin/bash
# Random programs, interpreted and translated: the same few each time.
# test: quick timeout=180
exec "$O/dbt/random_programs" --seed 1 --count 200 2>&1
