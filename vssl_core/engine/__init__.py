"""Training: one loop for pretraining and for fine-tuning."""
