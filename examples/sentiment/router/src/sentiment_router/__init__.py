"""Connect the models of a sentiment pipeline by queues; no part of any model."""
