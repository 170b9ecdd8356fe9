"""Quick looks: linear probes of every layer of an encoder on a sample of a corpus."""
