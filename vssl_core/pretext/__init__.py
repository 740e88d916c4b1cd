"""What pretext tasks share: orders, momentum copies, queues, contrast, motion, explanations."""
