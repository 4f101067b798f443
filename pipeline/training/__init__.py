"""Fine-tuning: labelled audio in, a Hugging Face folder out; no Ray. `fit.py` tells the story of it."""
