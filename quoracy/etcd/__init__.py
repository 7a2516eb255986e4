"""etcd: what is wanted, found, planned and done."""
