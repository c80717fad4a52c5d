"""Speak AMQP 0-9-1 with RabbitMQ: connect, consume, publish with confirms."""
