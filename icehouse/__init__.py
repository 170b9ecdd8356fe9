"""Icehouse: read text once with a frozen BERT, train recurrent heads on cached hidden states."""
