#!/bin/bash
# Random programs for segments. The seed is fixed, so that a failure comes again; DBT_SEED=random
# looks elsewhere.
# test: timeout=600
seed=${DBT_SEED:-1000}
[ "$seed" = random ] && seed=$((RANDOM << 15 | RANDOM))
exec "$O/dbt/random_segments" --seed "$seed" --count 1000 2>&1
