"""Practice hosts: real systemd, sshd and networks on one Linux machine, and faults for them."""
