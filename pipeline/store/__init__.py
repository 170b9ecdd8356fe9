"""The local feature store: every shard computed here, shared by all experiments."""
