"""`python -m offhook`: the command line, where the `offhook` script is not on the path."""

from offhook.cli import main

main()
