#!/bin/bash
# Random programs for segments of every kind, interpreted and translated: the same each time.
# test: quick timeout=180
exec "$O/dbt/random_segments" --seed 1 --count 100 2>&1
