#!/bin/bash
# The layers' includes and the laws that a script can check.
# test: quick
exec tools/check-layers sources
