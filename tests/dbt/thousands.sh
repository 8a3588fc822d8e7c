#!/bin/bash
# Random programs, interpreted and translated. The seed is fixed, so that a failure comes again;
# DBT_SEED=random looks elsewhere.
# test: timeout=900
seed=${DBT_SEED:-1000}
[ "$seed" = random ] && seed=$((RANDOM << 15 | RANDOM))
exec "$O/dbt/random_programs" --seed "$seed" --count 3000 2>&1
