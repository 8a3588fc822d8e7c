#!/bin/sh
# The commands of docs/lesson.md on the embedded guest print what the page shows.
# test: quick timeout=120
exec tests/lesson/lesson.py quick
