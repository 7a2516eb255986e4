"""Machines: the one door to them, the questions they are asked, and how far they are believed."""
