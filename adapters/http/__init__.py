"""What the adapters share of HTTP: requests with retries, polling, multipart from disk, streams, values."""
