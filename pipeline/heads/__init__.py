"""Heads: layers in, recurrent network, pooling, one linear layer, logits out."""
