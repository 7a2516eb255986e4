"""The code of a service on the controller: what of it is shipped, what it consists of, how it travels."""
