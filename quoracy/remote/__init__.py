"""Hosts: the one door to machines, over SSH or in memory."""
