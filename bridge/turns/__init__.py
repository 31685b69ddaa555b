"""The durable core: intake, runner, reply."""
