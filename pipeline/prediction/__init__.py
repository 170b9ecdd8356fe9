"""New text to answers: words, the encoder, the head, entities."""
