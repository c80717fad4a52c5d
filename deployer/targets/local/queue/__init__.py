"""Let model servers of this machine consume queues: their brokers, and their shares."""
