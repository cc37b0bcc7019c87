"""How a model is trained: parts that the trainables share."""
