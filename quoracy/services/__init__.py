"""Services with code of yours: what is wanted, found, planned and done."""
