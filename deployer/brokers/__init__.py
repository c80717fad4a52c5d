"""Reach the RabbitMQ brokers of platform.yaml: depths of queues, messages, dead letters."""
