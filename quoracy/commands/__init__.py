"""How it is said: step -> argv and shell scripts. Pure."""
