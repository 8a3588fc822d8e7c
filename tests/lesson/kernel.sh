#!/bin/sh
# The commands of docs/lesson.md on Debian's kernel print what the page shows.
# test: timeout=400
exec tests/lesson/lesson.py kernel
