"""`python -m lineside` is the command `lineside`."""

from lineside.main import main

main()
